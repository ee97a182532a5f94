"""The prover sees differences, and its inputs are repeatable and legal."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult, Pipeline
from edgecompile.core.tensor import C_TYPES, TensorInfo
from edgecompile.errors import InternalError
from edgecompile.passes.prove import (
    Prover,
    generate_inputs,
    index_bounds,
    prove_in_onnxruntime,
    relative_error,
    run_model,
)
from tests.support.graphs import model

SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(C_TYPES)), SHAPES, st.integers(0, 1000))
def test_inputs_have_the_wanted_type_and_repeat(dtype: str, shape: tuple[int, ...], seed: int) -> None:
    info = TensorInfo("x", shape, dtype)
    first, second = (generate_inputs([info], seed)["x"] for _ in range(2))
    assert first.shape == shape
    assert first.dtype == np.dtype(dtype)
    assert np.array_equal(first, second)


def test_integers_stay_within_their_bound() -> None:
    infos = [
        TensorInfo("i", (1000,), "int64"),
        TensorInfo("j", (1000,), "int32"),
        TensorInfo("k", (1000,), "uint8"),
    ]
    inputs = generate_inputs(infos, 0, {"i": 3})
    assert (inputs["i"].min(), inputs["i"].max()) == (0, 2)
    assert (inputs["j"].min(), inputs["j"].max()) == (0, 3)
    assert (inputs["k"].min(), inputs["k"].max()) == (0, 255)


def test_index_bound_is_found_behind_casts_and_reshapes() -> None:
    text = """g (int32[4] i, int64[2] j, float[2] x) => (float[N] y, float[N] z) <float[2,3] small = {1,2,3,4,5,6}> {
        c = Cast <to = 7> (i) s = Constant <value = int64[2] {2, 2}> () r = Reshape (c, s)
        y = Gather (small, r) z = Gather <axis = 1> (small, j)
    }"""
    typed = model(text, typed=True)
    assert index_bounds(typed) == {"i": 2, "j": 3}
    assert prove_in_onnxruntime(typed, typed) == 0.0


def test_index_bound_is_found_before_types_are_inferred() -> None:
    text = """g (int64[4] i) => (float[N] y) {
        table = Constant <value = float[2] {1, 2}> () y = Gather (table, i) }"""
    assert index_bounds(model(text)) == {"i": 2}


def test_difference_is_measured_relative_to_the_largest_value() -> None:
    before = model("g (float[1000] x) => (float[1000] y) { y = Mul (x, x) }")
    text = "g (float[1000] x) => (float[1000] y) <float f = {1.01}> { a = Mul (x, x) y = Mul (a, f) }"
    assert Prover(samples=3)(before, model(text)) == pytest.approx(0.01, rel=1e-3)


def test_renamed_or_swapped_outputs_are_no_match() -> None:
    before = model("g (float[2] x) => (float[2] y) { y = Exp (x) }")
    after = model("g (float[2] x) => (float[2] z) { z = Exp (x) }")
    assert Prover()(before, after) == float("inf")


def test_functions_and_operators_without_kernel_run() -> None:
    function = '<domain: "local", opset_import: ["" : 24]> twice (a) => (b) { b = Add (a, a) }'
    text = "g (float[2] x) => (float[2] y) { y = local.twice (x) }"
    inputs = {"x": np.array([1, 2], np.float32)}
    assert run_model(model(text, functions=function), inputs)[0].tolist() == [2, 4]
    newest = model("g (float[2] x) => (float[2] y) { y = Swish (x) }", 28)
    assert run_model(newest, inputs)[0] == pytest.approx([0.731, 1.762], abs=1e-3)


def test_graph_that_nothing_can_run_is_an_internal_error() -> None:
    broken = model("g (float[2] x) => (float[2] y) { y = local.missing (x) }")
    with pytest.raises(InternalError, match=r"EC1201\] the graph cannot be executed for comparison"):
        run_model(broken, {"x": np.zeros(2, np.float32)})


def test_pipeline_stops_at_a_pass_that_changes_the_result() -> None:
    class NegateOutput:
        name = "negate_output"
        tolerance = 1e-6

        def __call__(self, model: Model) -> PassResult:
            return PassResult(negated, True)

    negated = model("g (float[4] x) => (float[4] y) { y = Neg (x) }")
    before = model("g (float[4] x) => (float[4] y) { y = Identity (x) }")
    with pytest.raises(InternalError, match=r"EC1010\] pass negate_output changed the network's result"):
        Pipeline([NegateOutput()]).run(before, prove_in_onnxruntime)


NAN, INF = float("nan"), float("inf")
ERRORS = {
    "equal": ([1, 2], [1, 2], 0.0),
    "relative to the largest": ([1, 4], [1.5, 4], 0.125),
    "nan in the same place": ([NAN, 2], [NAN, 2], 0.0),
    "nan in another place": ([NAN, 2], [2, NAN], INF),
    "new nan": ([1, 2], [NAN, 2], INF),
    "same infinity": ([INF, 2], [INF, 3], 0.5),
    "other infinity": ([INF, 2], [-INF, 2], INF),
    "all zero": ([0, 0], [0, 0.25], 0.25),
    "nothing finite": ([NAN, INF], [NAN, INF], 0.0),
    "empty": ([], [], 0.0),
}


@pytest.mark.parametrize(("expected", "actual", "error"), ERRORS.values(), ids=ERRORS)
def test_relative_error(expected: list[float], actual: list[float], error: float) -> None:
    assert relative_error(np.array(expected, np.float32), np.array(actual, np.float32)) == error


def test_other_shape_or_type_is_an_infinite_error() -> None:
    assert relative_error(np.zeros((2, 1)), np.zeros((1, 2))) == INF
    assert relative_error(np.zeros(2, np.int32), np.zeros(2, np.int64)) == INF
    assert relative_error(np.array([True]), np.array([False])) == INF
