"""NVIDIA GPUs: the one of this machine, and a simulated one on its CPU."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Self

from edgecompile.devices.local import LocalDevice
from edgecompile.errors import DeviceError, MissingToolError, Problem

_DRIVER = "libcuda.so.1"
_NAME_BYTES = 256


@dataclass(frozen=True)
class CudaDevice(LocalDevice):
    """Runs programs that use GPU 0 of this machine."""

    name: str = "cuda"

    def __enter__(self) -> Self:
        """Raises MissingToolError (EC5592) without a driver or a GPU, and UsageError (EC2021)."""
        super().__enter__()
        _driver()
        return self

    def health(self) -> str:
        """The name of the GPU and the CUDA version of its driver."""
        driver, version = _driver(), ctypes.c_int()
        name = ctypes.create_string_buffer(_NAME_BYTES)
        for result in (
            driver.cuDriverGetVersion(ctypes.byref(version)),
            driver.cuDeviceGetName(name, _NAME_BYTES, 0),
        ):
            if result != 0:
                raise DeviceError(
                    Problem("EC7001", "the device cannot be reached", self.name, f"CUDA error {result}")
                )
        return f"{name.value.decode()}, driver for CUDA {version.value // 1000}.{version.value % 1000 // 10}"


@dataclass(frozen=True)
class SimulatedGpu(LocalDevice):
    """Runs programs whose driver computes on the CPU; how long that takes means nothing."""

    name: str = "cuda-simulator"
    level: str = "simulated"

    def __enter__(self) -> Self:
        """Its programs are built for this machine."""
        return self

    def health(self) -> str:
        return f"a GPU simulated on {super().health()}"


def _driver() -> ctypes.CDLL:
    """The driver, initialised. Raises MissingToolError (EC5592)."""
    fix = "install NVIDIA's driver, or leave --device out to simulate the GPU"
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise MissingToolError(
            Problem("EC5592", "no NVIDIA driver", _DRIVER, "it cannot be loaded", fix)
        ) from error
    count = ctypes.c_int()
    result = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if result != 0 or count.value == 0:
        why = f"the driver found no GPU (CUDA error {result})"
        raise MissingToolError(Problem("EC5592", "no NVIDIA GPU", _DRIVER, why, fix))
    return driver
