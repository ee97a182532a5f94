"""The bound's arithmetic, and that the kernels do the work they report."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from benchmarks.roofline import bound_us, build_kernels


def test_the_slower_of_arithmetic_and_memory_is_the_bound() -> None:
    assert bound_us(2_000, 1e9, 100, 1e9) == pytest.approx(2.0)
    assert bound_us(2_000, 1e9, 8_000, 1e9) == pytest.approx(8.0)


def test_threads_share_the_work() -> None:
    assert bound_us(2_000, 1e9, 100, 1e9, threads=2) == pytest.approx(1.0)


def test_kernels_report_work_in_proportion_to_rounds(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(build_kernels(tmp_path)))
    data = np.ones(4096 + 64, np.uint8)
    start = ctypes.c_void_p(data.ctypes.data + -data.ctypes.data % 64)
    for name in ("peak_float32", "peak_int8", "peak_read"):
        library[name].restype = ctypes.c_uint64
    rounds = ctypes.c_uint64(5)
    once, five = (library.peak_float32(ctypes.c_uint64(count)) for count in (1, 5))
    # Twelve vectors of 16, 32 or 64 bytes.
    assert once in (12 * 4, 12 * 8, 12 * 16)
    assert five == 5 * once
    assert library.peak_int8(rounds) in (0, 5 * 12 * 16, 5 * 12 * 32, 5 * 12 * 64)
    assert library.peak_read(start, ctypes.c_size_t(4096), rounds) == 5 * 4096
