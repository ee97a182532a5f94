"""Kernels of a GPU on the simulated one."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.cuda.simulator.build import build_simulator
from edgecompile.lower.grids import GpuKernel

Array = np.ndarray[Any, Any]


def run_simulated(
    source: str, kernel: GpuKernel, arrays: Sequence[Array], architecture: str = "sm_87"
) -> list[Array]:
    """What `arrays`, one a parameter of the kernel's function, hold after its launches.

    `source` is complete CUDA C. Every launch waits for the one before.
    """
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
        driver = SimulatedDriver(build_simulator(source, architecture, Path(folder)), source, architecture)
        try:
            return driver.run(kernel, arrays)
        finally:
            driver.close()


class SimulatedDriver:
    """The simulated driver with the kernels of `source`; `run` executes some of them. Close it in the end."""

    def __init__(self, path: Path, source: str, architecture: str) -> None:
        self.library = ctypes.CDLL(str(path))
        self.call("cuInit", 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context := ctypes.c_void_p()), 0)
        self.call("cuCtxPushCurrent_v2", context)
        self.module = ctypes.c_void_p()
        # Stands for PTX: the simulated driver looks for the architecture and for names in it.
        image = f".target {architecture}\n{source}".encode()
        self.image = ctypes.create_string_buffer(image)
        self.call("cuModuleLoadData", ctypes.byref(self.module), self.image)
        self.blocks: list[ctypes.c_uint64] = []

    def call(self, name: str, *arguments: Any) -> None:
        result = getattr(self.library, name)(*arguments)
        assert result == 0, f"{name} returned {result}"

    def allocate(self, nbytes: int) -> ctypes.c_uint64:
        self.call(
            "cuMemAlloc_v2", ctypes.byref(address := ctypes.c_uint64()), ctypes.c_size_t(max(nbytes, 1))
        )
        self.blocks.append(address)
        return address

    def run(self, kernel: GpuKernel, arrays: Sequence[Array]) -> list[Array]:
        places = [self.allocate(array.nbytes) for array in arrays]
        workspace = self.allocate(kernel.workspace)
        for place, array in zip(places, arrays, strict=True):
            given = np.ascontiguousarray(array)
            ctypes.memmove(place.value or 0, given.ctypes.data, given.nbytes)
        for launch in kernel.launches:
            values = [places[i] for i in launch.arguments] + ([workspace] if launch.works_there else [])
            pointers = (ctypes.c_void_p * (len(values) + 1))(*(ctypes.addressof(value) for value in values))
            function = ctypes.c_void_p()
            self.call("cuModuleGetFunction", ctypes.byref(function), self.module, launch.name.encode())
            grid = (*launch.blocks, launch.threads, 1, 1, 0)
            self.call("cuLaunchKernel", function, *grid, None, pointers, None)
            self.call("cuStreamSynchronize", None)
        results = [np.empty_like(array, order="C") for array in arrays]
        for place, result in zip(places, results, strict=True):
            ctypes.memmove(result.ctypes.data, place.value or 0, result.nbytes)
        return results

    def close(self) -> None:
        """Give everything back: the simulated driver ends a program that does not."""
        for block in self.blocks:
            self.call("cuMemFree_v2", block)
        self.call("cuModuleUnload", self.module)
        self.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        self.call("cuDevicePrimaryCtxRelease_v2", 0)
