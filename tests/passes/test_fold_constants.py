"""Constants are folded, shapes become known, and nothing is folded that should not be."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.model import Model
from edgecompile.errors import InputError
from edgecompile.passes.edit import static_shape
from edgecompile.passes.fold_constants import FoldConstants
from tests.support.graphs import model, operators, run_proven

# How exporters write "flatten": the shape is computed from the input's shape.
FLATTEN_BY_SHAPE = """g (float[2,3,4] x) => (float[N,M] y) {
    zero = Constant <value = int64 {0}> ()
    axis = Constant <value = int64[1] {0}> ()
    rest = Constant <value = int64[1] {-1}> ()
    s = Shape (x)
    n = Gather <axis = 0> (s, zero)
    n1 = Unsqueeze (n, axis)
    target = Concat <axis = 0> (n1, rest)
    y = Reshape (x, target)
}"""


def test_arithmetic_on_shapes_becomes_a_constant() -> None:
    result = run_proven(FoldConstants(), model(FLATTEN_BY_SHAPE))
    assert operators(result.model) == ["Reshape"]
    graph = result.model.graph.graph
    assert static_shape(graph.outputs[0]) == (2, 12)
    shape = graph.node(0).inputs[1]
    assert shape is not None
    assert shape.const_value is not None
    assert shape.const_value.numpy().tolist() == [2, -1]


def test_a_second_run_changes_nothing() -> None:
    folded = FoldConstants()(model(FLATTEN_BY_SHAPE)).model
    assert not run_proven(FoldConstants(), folded).modified


@pytest.mark.parametrize(("condition", "expected"), [(1, ["Relu", "Neg"]), (0, ["Exp"])])
def test_if_with_known_condition_is_replaced_by_its_branch(condition: int, expected: list[str]) -> None:
    text = f"""g (float[2] x) => (float[2] y) {{
        c = Constant <value = bool {{{condition}}}> ()
        y = If (c) <
            then_branch = yes () => (float[2] t) {{ r = Relu (x) t = Neg (r) }},
            else_branch = no () => (float[2] e) {{ e = Exp (x) }}
        >
    }}"""
    result = run_proven(FoldConstants(), model(text))
    assert operators(result.model) == expected
    assert [value.name for value in result.model.graph.graph.outputs] == ["y"]


def test_branch_that_only_passes_an_outer_tensor_on() -> None:
    text = """g (float[2] x) => (float[2] y) {
        c = Constant <value = bool {1}> ()
        y = If (c) <then_branch = yes () => (float[2] t) { t = Identity (x) },
            else_branch = no () => (float[2] e) { e = Exp (x) }>
    }"""
    result = run_proven(FoldConstants(), model(text))
    assert operators(result.model) == ["Identity"]


def test_nested_if_of_known_conditions() -> None:
    text = """g (float[2] x) => (float[2] y) {
        c = Constant <value = bool {1}> ()
        y = If (c) <
            then_branch = yes () => (float[2] t) {
                n = Not (c)
                t = If (n) <
                    then_branch = a () => (float[2] u) { u = Neg (x) },
                    else_branch = b () => (float[2] v) { k = Constant <value = float {2}> () v = Mul (x, k) }
                >
            },
            else_branch = no () => (float[2] e) { e = Exp (x) }
        >
    }"""
    result = run_proven(FoldConstants(), model(text))
    assert operators(result.model) == ["Mul"]


def test_if_of_unknown_condition_gets_types_inside() -> None:
    text = """g (float[2] x, bool c) => (float[2] y) {
        y = If (c) <
            then_branch = yes () => (float[2] t) { r = Relu (x) t = Neg (r) },
            else_branch = no () => (float[2] e) { e = Exp (x) }
        >
    }"""
    result = run_proven(FoldConstants(), model(text))
    inner = [value for node in result.model.graph.graph.all_nodes() for value in node.outputs]
    assert {static_shape(value) for value in inner} == {(2,)}


LOOP = """g (float[2] x) => (float[2] last, float[N,2] all) {{
    trips = Constant <value = int64 {{3}}> ()
    go = Constant <value = bool {{1}}> ()
    last, all = Loop (trips, go, x) <
        body = step (int64 i, bool c, float[2] state) => (bool {condition}, float[2] next, float[2] out) {{
            again = Identity (c)
            zero = Constant <value = float {{0}}> ()
            sum = ReduceSum <keepdims = 0> (state)
            more = Greater (sum, zero)
            next = Add (state, state)
            out = Relu (next)
        }}
    >
}}"""


def test_loop_with_fixed_trip_count_has_static_results() -> None:
    result = run_proven(FoldConstants(), model(LOOP.format(condition="again")))
    assert [static_shape(value) for value in result.model.graph.graph.outputs] == [(2,), (3, 2)]


def test_loop_that_may_end_early_has_no_static_scan_output() -> None:
    result = FoldConstants()(model(LOOP.format(condition="more")))
    assert [static_shape(value) for value in result.model.graph.graph.outputs] == [(2,), None]


def test_scan_has_static_results() -> None:
    text = """g (float[2] s, float[5,2] x) => (float[2] last, float[5,2] all) {
        last, all = Scan <num_scan_inputs = 1, body = step (float[2] a, float[2] b) => (float[2] c, float[2] d) {
            c = Add (a, b)
            d = Neg (c)
        }> (s, x)
    }"""
    result = run_proven(FoldConstants(), model(text))
    assert [static_shape(value) for value in result.model.graph.graph.outputs] == [(2,), (5, 2)]


def test_a_constant_output_keeps_its_name() -> None:
    text = "g (float[2] x) => (int64[1] n, float[2] y) { n = Shape (x) y = Relu (x) }"
    result = run_proven(FoldConstants(), model(text))
    assert operators(result.model) == ["Identity", "Relu"]
    assert [value.name for value in result.model.graph.graph.outputs] == ["n", "y"]
    assert not run_proven(FoldConstants(), result.model).modified


def test_large_growth_is_left_to_the_device() -> None:
    text = """g (float[1000,1000] x) => (float[1000,1000] y) {
        one = Constant <value = float {1}> ()
        s = Shape (x)
        mask = Expand (one, s)
        y = Add (x, mask)
    }"""
    assert operators(FoldConstants()(model(text)).model) == ["Expand", "Add"]
    assert operators(FoldConstants(max_growth=10**7)(model(text)).model) == ["Add"]


def test_size_cap_holds_without_computing_the_result() -> None:
    text = """g (float[1] x) => (float[N,M] y) {
        s = Constant <value = int64[2] {1048576, 1048576}> ()
        big = ConstantOfShape (s)
        y = Add (x, big)
    }"""
    assert operators(FoldConstants(max_growth=10**15)(model(text)).model) == ["ConstantOfShape", "Add"]


def test_quantized_weights_stay_compact() -> None:
    text = """g (float[1,2] x) => (float[1,2] y)
        <int8[2,2] w = {1,2,3,4}, float scale = {0.5}, int8 zero = {0}> {
        d = DequantizeLinear (w, scale, zero)
        y = MatMul (x, d)
    }"""
    assert not run_proven(FoldConstants(), model(text)).modified


def test_inputs_that_do_not_fit_are_an_input_error() -> None:
    text = "g (float[2,3] x, float[4,5] w) => (float[N,M] y) { y = MatMul (x, w) }"
    with pytest.raises(InputError, match=r"EC3201\] MatMul does not fit its inputs at 'MatMul_0'"):
        FoldConstants()(model(text))


def test_a_kernel_larger_than_its_input_is_an_input_error() -> None:
    text = "g (float[1,1,3,3] x, float[1,1,9,9] w) => (float[N] y) { y = Conv (x, w) }"
    with pytest.raises(InputError, match=r"EC3201\] Conv does not fit its inputs at 'Conv_0'"):
        FoldConstants()(model(text))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(-4, 4), st.integers(-4, 4))
def test_shape_with_start_and_end_equals_the_slice(dims: list[int], start: int, end: int) -> None:
    shape = ",".join(map(str, dims))
    text = f"g (float[{shape}] x) => (int64[N] y) {{ y = Shape <start = {start}, end = {end}> (x) }}"
    folded = FoldConstants()(model(text)).model
    assert _constant_output(folded).tolist() == list(dims[start:end])


def _constant_output(folded: Model) -> np.ndarray:
    source = folded.graph.graph.node(0).inputs[0]
    assert source is not None
    assert source.const_value is not None
    return source.const_value.numpy()
