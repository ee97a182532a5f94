from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm import te, tirx

from edgecompile.kernels.compute import (
    Layout,
    Window,
    accumulator,
    add_bias,
    broadcast_index,
    flatten,
    padded_reader,
    unflatten,
)
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal


def test_layouts_split_and_join() -> None:
    first, last = Layout(channels_last=False), Layout(channels_last=True)
    assert first.split((1, 2, 3, 4)) == (1, (3, 4), 2)
    assert last.split((1, 2, 3, 4)) == (1, (2, 3), 4)
    for layout in (first, last):
        assert layout.join(*layout.split((1, 2, 3, 4))) == (1, 2, 3, 4)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(1, 6))
def test_window_reach_is_the_extreme_of_all_positions(
    kernel: int, stride: int, dilation: int, pad: int, outputs: int
) -> None:
    window = Window((kernel,), (stride,), (dilation,), (pad,), (pad,))
    positions = [window.position([o], [k])[0] for o in range(outputs) for k in range(kernel)]
    assert window.lowest(0) == min(positions)
    assert window.highest(0, outputs) == max(positions)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_flatten_is_row_major(extents: list[int], data: st.DataObject) -> None:
    index = [data.draw(st.integers(0, extent - 1)) for extent in extents]
    assert flatten(index, extents) == np.ravel_multi_index(index, extents)


def test_unflatten_undoes_flatten() -> None:
    positions = te.compute((24,), lambda i: flatten(unflatten(i, (2, 3, 4)), (2, 3, 4)))
    (result,) = compute(lambda: positions)
    np.testing.assert_array_equal(result, np.arange(24))


def test_broadcast_index_is_right_aligned() -> None:
    assert broadcast_index(["a", "b", "c"], (1, 5)) == [0, "c"]
    assert broadcast_index(["a", "b"], ()) == []


def test_half_precision_accumulates_in_single() -> None:
    assert accumulator("float16") == "float32"
    assert accumulator("float64") == "float64"
    assert accumulator("int32") == "int32"


@pytest.mark.parametrize("channels_last", [False, True])
def test_reader_gives_the_fill_value_outside(channels_last: bool) -> None:
    layout = Layout(channels_last)
    window = Window((1, 1), (1, 1), (1, 1), (1, 2), (3, 0))
    data = normal(1, 2, 4, 5)
    want = np.pad(data, ((0, 0), (0, 0), (1, 3), (2, 0)), constant_values=7.0)
    if channels_last:
        data, want = data.transpose(0, 2, 3, 1), want.transpose(0, 2, 3, 1)

    def definition(tensor: te.Tensor) -> te.Tensor:
        read = padded_reader(tensor, layout, window, (8, 7), tirx.const(7.0, "float32"))

        def element(*index: tirx.Var) -> tirx.Expr:
            batch, position, channel = layout.split(index)
            return read(batch, window.position(position, (0, 0)), channel)

        return te.compute(want.shape, element)

    np.testing.assert_array_equal(compute(definition, data)[0], want)


def test_bias_is_added_along_channels() -> None:
    data, bias = normal(2, 3, 4), normal(3, seed=1)
    layout = Layout(channels_last=False)
    (result,) = compute(lambda x, b: add_bias(x, b, layout, "float32"), data, bias)
    assert_close(result, data + bias[:, None])
