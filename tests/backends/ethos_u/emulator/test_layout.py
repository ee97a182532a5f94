"""Feature maps lie where a formula for one element says, tile by tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.layout import FeatureMap, load, store
from edgecompile.backends.ethos_u.emulator.memory import Memory, Region

SIZES = st.integers(1, 6)


def _map(shape: tuple[int, int, int], dtype: str, is_bricks: bool, cut: tuple[int, int, int]) -> FeatureMap:
    """Rows with a gap behind them, each tile 4096 bytes after the one before."""
    size = np.dtype(dtype).itemsize
    x_stride = 16 * size if is_bricks else shape[2] * size
    c_stride = shape[1] * x_stride
    y_stride = c_stride * (-(-shape[2] // 16) if is_bricks else 1) + 16
    bases = tuple(4096 * tile for tile in range(4))
    strides = (y_stride, x_stride, c_stride)
    return FeatureMap("OFM", shape, np.dtype(dtype), 1, is_bricks, bases, cut[:2], cut[2], strides)


def _address(fm: FeatureMap, y: int, x: int, c: int) -> int:
    right = int(x >= fm.width)
    below = int(y >= fm.heights[right])
    y, x = y - below * fm.heights[right], x - right * fm.width
    size, group = fm.dtype.itemsize, c // 16 * fm.strides[2] if fm.is_bricks else 0
    inner = x * 16 * size + c % 16 * size if fm.is_bricks else x * fm.strides[1] + c * size
    return fm.bases[right + 2 * below] + y * fm.strides[0] + group + inner


@given(
    shape=st.tuples(SIZES, SIZES, st.integers(1, 40)),
    dtype=st.sampled_from(["<i1", "<u1", "<i2", "<i4"]),
    is_bricks=st.booleans(),
    cut=st.tuples(SIZES, SIZES, SIZES),
)
def test_addresses(
    shape: tuple[int, int, int], dtype: str, is_bricks: bool, cut: tuple[int, int, int]
) -> None:
    fm = _map(shape, dtype, is_bricks, cut)
    memory = Memory({1: Region.empty(1 << 16)})
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    store(memory, fm, values)
    np.testing.assert_array_equal(load(memory, fm), values)
    size = fm.dtype.itemsize
    for place in np.ndindex(shape):
        address = _address(fm, *place)
        stored = memory.regions[1].data[address : address + size].tobytes()
        assert stored == values[place].tobytes()
    assert memory.regions[1].written.sum() == values.nbytes


def test_negative_strides() -> None:
    fm = FeatureMap("OFM", (3, 1, 1), np.dtype("<i1"), 1, False, (2, 0, 0, 0), (3, 3), 1, (-1, 1, 1))
    memory = Memory({1: Region.empty(3)})
    store(memory, fm, np.array([1, 2, 3], np.int8).reshape(3, 1, 1))
    assert memory.regions[1].data.tolist() == [3, 2, 1]


def test_memory_that_does_not_hold_it() -> None:
    fm = _map((2, 2, 3), "<i1", False, (2, 2, 2))
    with pytest.raises(Fault, match="region 1, which has 20 bytes"):
        load(Memory({1: Region.empty(20)}), fm)
    with pytest.raises(Fault, match="region 1, which does not exist"):
        load(Memory(), fm)
    with pytest.raises(Fault, match="bytes are read that nothing wrote"):
        load(Memory({1: Region.empty(64)}), fm)
    with pytest.raises(Fault, match="what may only be read is overwritten"):
        store(Memory({1: Region.constant(bytes(64))}), fm, np.zeros((2, 2, 3), np.int8))
