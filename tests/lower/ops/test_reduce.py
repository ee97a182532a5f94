from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.errors import UnsupportedError
from tests.support.operators import check_node, compiled, node_model, normal

OPERATORS = (
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(OPERATORS), st.lists(st.integers(1, 7), min_size=1, max_size=4), st.booleans(), st.data()
)
def test_axes(op_type: str, extents: list[int], keepdims: bool, data: st.DataObject) -> None:
    rank = len(extents)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), max_size=rank, unique_by=lambda a: a % rank))
    x = np.abs(normal(*extents)) + np.float32(0.1)
    check_node(op_type, [x, np.array(axes, np.int64)], constants={1}, keepdims=int(keepdims))


@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"])
def test_no_axes_may_mean_none(op_type: str) -> None:
    axes = np.array([], np.int64)
    inputs = [normal(3, 4), axes]
    check_node(op_type, inputs, "onnx", constants={1}, noop_with_empty_axes=1)


@pytest.mark.parametrize(
    ("op_type", "want"),
    [
        ("ReduceSum", 0.0),
        ("ReduceProd", 1.0),
        ("ReduceMax", -np.inf),
        ("ReduceMin", np.inf),
        ("ReduceL2", 0.0),
    ],
)
def test_the_empty_set(op_type: str, want: float) -> None:
    x, axes = np.zeros((2, 0, 3), np.float32), np.array([1], np.int64)
    like = np.zeros((2, 1, 3), np.float32)
    (result,) = compiled(node_model(op_type, [x, axes], constants={1}), [x, axes], [like])
    np.testing.assert_array_equal(result, np.full((2, 1, 3), want, np.float32))


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64", "float16", "uint8"])
def test_types(dtype: str) -> None:
    x, axes = np.arange(24).reshape(2, 3, 4).astype(dtype), np.array([0, 2], np.int64)
    for op_type in (
        ("ReduceMax", "ReduceMin") if dtype == "uint8" else ("ReduceSum", "ReduceMean", "ReduceMax")
    ):
        check_node(op_type, [x, axes], "onnx", constants={1}, rtol=1e-3)


def test_half_precision_is_summed_in_single() -> None:
    x, axes = np.full((1, 4096), 0.1, np.float16), np.array([1], np.int64)
    (result,) = check_node("ReduceSum", [x, axes], "onnx", constants={1}, rtol=1e-3)
    assert abs(float(result[0, 0]) - 409.5) < 1.0


def test_truth_values() -> None:
    x, axes = np.array([[True, False], [False, False]]), np.array([1], np.int64)
    for op_type in ("ReduceMax", "ReduceMin"):
        check_node(op_type, [x, axes], "onnx", constants={1})


def test_log_sum_exp_does_not_overflow() -> None:
    x, axes = np.array([[1000.0, 1000.0], [-np.inf, -np.inf]], np.float32), np.array([1], np.int64)
    model = node_model("ReduceLogSumExp", [x, axes], constants={1})
    (result,) = compiled(model, [x, axes], [np.zeros((2, 1), np.float32)])
    np.testing.assert_allclose(result[:, 0], [1000 + np.log(2), -np.inf], rtol=1e-6)


def test_axes_must_be_known() -> None:
    x, axes = normal(3, 4), np.array([1], np.int64)
    with pytest.raises(UnsupportedError, match=r"input 1 \('x1'\) must be known at compile time"):
        compiled(node_model("ReduceSum", [x, axes]), [x, axes], [np.zeros((3, 1), np.float32)])


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_arg(op_type: str, last: int, axis: int, keepdims: int) -> None:
    x = np.random.default_rng(0).integers(0, 3, (4, 3, 6)).astype(np.float32)
    check_node(op_type, [x], axis=axis, keepdims=keepdims, select_last_index=last)


def test_arg_of_nothing_is_refused() -> None:
    x = np.zeros((2, 0), np.float32)
    with pytest.raises(UnsupportedError, match="nothing to choose from"):
        compiled(node_model("ArgMax", [x], axis=1), [x], [np.zeros((2, 1), np.int64)])
