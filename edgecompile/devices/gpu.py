"""NVIDIA GPUs: the one of this machine, and a simulated one on its CPU."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Self

from edgecompile.core.device import Metric, RunRequest, RunResult
from edgecompile.devices.local import LocalDevice
from edgecompile.errors import DeviceError, MissingToolError, Problem

_DRIVER = "libcuda.so.1"
_NAME_BYTES = 256
# CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True)
class CudaDevice(LocalDevice):
    """Runs programs that use GPU 0 of this machine."""

    name: str = "cuda"

    def __enter__(self) -> Self:
        """Raises MissingToolError (EC5592) without a driver or a GPU, and UsageError (EC2021)."""
        super().__enter__()
        _load_driver()
        return self

    def health(self) -> str:
        """The GPU's name and architecture, and the CUDA version of its driver."""
        version, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
        driver = _load_driver()
        _check(driver.cuDriverGetVersion(ctypes.byref(version)))
        _check(driver.cuDeviceGetName(name, _NAME_BYTES, 0))
        major, minor = version.value // 1000, version.value % 1000 // 10
        return f"{name.value.decode()} ({gpu_architecture()}), driver for CUDA {major}.{minor}"


@dataclass(frozen=True)
class SimulatedGpu(LocalDevice):
    """Runs programs whose driver computes on the CPU; how long that takes means nothing.

    What it tells candidates apart by are "cycles" of no GPU: how often a thread runs up to its next barrier.
    """

    name: str = "cuda-simulator"
    level: str = "simulated"
    metric: Metric = "cycles"

    def __enter__(self) -> Self:
        """Its programs are built for this machine."""
        return self

    def run(self, request: RunRequest) -> RunResult:
        result = super().run(request)
        return replace(result, nanoseconds=(), cycles=result.nanoseconds)

    def health(self) -> str:
        return f"a GPU simulated on {super().health()}, which says nothing of speed"


def gpu_architecture() -> str:
    """That of GPU 0 of this machine, e.g. "sm_87". Raises MissingToolError (EC5592)."""
    driver, digits = _load_driver(), []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        _check(driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0))
        digits.append(value.value)
    return f"sm_{digits[0]}{digits[1]}"


def _load_driver() -> ctypes.CDLL:
    """The driver, initialised, with a GPU. Raises MissingToolError (EC5592)."""
    fix = "install NVIDIA's driver; --device cuda-simulator executes on this CPU, without a speed"
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError as error:
        why = "it cannot be loaded"
        raise MissingToolError(Problem("EC5592", "no NVIDIA driver", _DRIVER, why, fix)) from error
    count = ctypes.c_int()
    result = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if result != 0 or count.value == 0:
        why = f"the driver found no GPU (CUDA error {result})"
        raise MissingToolError(Problem("EC5592", "no NVIDIA GPU", _DRIVER, why, fix))
    return driver


def _check(result: int) -> None:
    if result != 0:
        why = f"CUDA error {result}"
        raise DeviceError(Problem("EC7001", "the device cannot be reached", "cuda", why))
