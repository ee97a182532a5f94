"""The least time a network can take on this machine: its arithmetic, or reading its weights, at full speed.

The model is the roofline of Williams, Waterman and Patterson (Communications of the ACM 52(4), 2009). Both
ceilings are measured, on one thread, by peak.c.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.networks import DType
from edgecompile.core.target import find_target
from edgecompile.toolchain.find import find_toolchain

_SOURCE = Path(__file__).with_name("peak.c")
_VECTOR_BYTES = 64
_SAMPLE_S = 0.005
_SAMPLES = 10


class Machine:
    """This machine's ceilings for one thread; the library of kernels is built in `folder`.

    `peaks` are multiply-accumulates per second from registers; 0 where the CPU has no instruction for it.
    """

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(str(build_kernels(folder)))
        self.peaks: dict[DType, float] = {
            "float32": _rate(self._kernel("peak_float32")),
            "int8": _rate(self._kernel("peak_int8")),
        }

    def read_rate(self, size: int) -> float:
        """Bytes per second when `size` bytes are read again and again, from whichever cache holds them."""
        raw = np.ones(size + 2 * 8 * _VECTOR_BYTES, np.uint8)
        start = -raw.ctypes.data % _VECTOR_BYTES
        address = ctypes.c_void_p(raw.ctypes.data + start)
        return _rate(self._kernel("peak_read", address, ctypes.c_size_t(raw.size - _VECTOR_BYTES)))

    def bound_us(self, dtype: DType, macs: int, weight_bytes: int, threads: int = 1) -> float | None:
        """Microseconds; None where the arithmetic has no measured ceiling. See `bound_us`."""
        peak = self.peaks[dtype]
        return bound_us(macs, peak, weight_bytes, self.read_rate(weight_bytes), threads) if peak else None

    def _kernel(self, name: str, *arguments: object) -> Callable[[int], int]:
        function = self._library[name]
        function.restype = ctypes.c_uint64
        return lambda rounds: int(function(*arguments, ctypes.c_uint64(rounds)))


def bound_us(macs: int, macs_per_s: float, weight_bytes: int, bytes_per_s: float, threads: int = 1) -> float:
    """The larger of the two times, in microseconds, with the work shared evenly by `threads`."""
    return max(macs / macs_per_s, weight_bytes / bytes_per_s) / threads * 1e6


def build_kernels(folder: Path) -> Path:
    """peak.c as a shared library for this very CPU."""
    toolchain = find_toolchain(find_target("host"), executable=True)
    flags = ("-O3", "-march=native", "-ffp-contract=fast")
    code = toolchain.compile([_SOURCE], flags, folder / "peak.o")
    return toolchain.link([code], ("-shared",), folder / "peak.so")


def _rate(kernel: Callable[[int], int]) -> float:
    """Work per second at best: other programs can only make a sample slower."""
    rounds = 1
    while _sample(kernel, rounds)[1] < _SAMPLE_S:
        rounds *= 2
    return max(_sample(kernel, rounds)[0] for _ in range(_SAMPLES))


def _sample(kernel: Callable[[int], int], rounds: int) -> tuple[float, float]:
    started = time.perf_counter()
    work = kernel(rounds)
    seconds = time.perf_counter() - started
    return work / seconds, seconds
