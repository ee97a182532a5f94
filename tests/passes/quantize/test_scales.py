"""Shared scales, and where they are not shared."""

from __future__ import annotations

from edgecompile.core.model import Model
from edgecompile.passes.quantize.parameters import PROBABILITIES, asymmetric
from edgecompile.passes.quantize.plan import make_plan
from edgecompile.passes.quantize.ranges import Range
from edgecompile.passes.quantize.scales import choose_scales, unlike_outputs
from tests.passes.quantize.networks import graph


def joined(tail: str = "y = Tanh(j)") -> Model:
    body = f"a = Relu(x) b = Sigmoid(x) j = Concat<axis=1>(a, b) {tail}"
    return graph("float[1,2] x => float[1,4] y", body)


X = {"x": Range(-1, 1), "y": Range(-1, 1)}


def test_like_operands_share_the_scale_of_their_concat() -> None:
    plan = make_plan(joined().graph.graph)
    found = choose_scales(plan, X | {"a": Range(0, 1.5), "b": Range(0, 1)})
    assert found.tensors["a"] == found.tensors["b"] == found.tensors["j"] == asymmetric(Range(0, 1.5))
    assert not found.joints


def test_a_narrow_operand_keeps_its_own_scale() -> None:
    model = joined()
    concat = next(str(node.name) for node in model.graph.graph if node.op_type == "Concat")
    found = choose_scales(make_plan(model.graph.graph), X | {"a": Range(0, 10), "b": Range(0, 1)})
    assert found.tensors["b"] == asymmetric(Range(0, 1))
    assert found.tensors["a"] == found.tensors["j"] == asymmetric(Range(0, 10))
    assert found.joints == {(concat, 1): asymmetric(Range(0, 10))}


def test_small_steps_do_not_add_up() -> None:
    """Each concat is a little wider than the one before; the first tensor must not lose more than a bit."""
    body = """
        a = Relu(x) b = Sigmoid(x) c = Tanh(x) d = Abs(x)
        j = Concat<axis=1>(a, b) k = Concat<axis=1>(j, c) l = Concat<axis=1>(k, d) y = Tanh(l)
    """
    plan = make_plan(graph("float[1,1] x => float[1,4] y", body).graph.graph)
    ranges = X | {"a": Range(0, 1), "b": Range(0, 1.5), "c": Range(0, 2.5), "d": Range(0, 4)}
    found = choose_scales(plan, ranges)
    for name in "abcd":
        assert found.tensors[name].scale <= 2 * ranges[name].width / 255 * 1.001
    assert found.tensors["l"] == asymmetric(Range(0, 4))


def test_softmax_has_the_scale_of_its_routine() -> None:
    plan = make_plan(graph("float[1,4] x => float[1,4] y", "y = Softmax(x)").graph.graph)
    found = choose_scales(plan, {"x": Range(-1, 1), "y": Range(0, 0.9)})
    assert found.tensors["y"] == PROBABILITIES


def test_unlike_outputs_are_joined_in_float() -> None:
    model = joined("y = Transpose<perm=[0,1]>(j)")
    plan = make_plan(model.graph.graph)
    concat = next(str(node.name) for node in model.graph.graph if node.op_type == "Concat")
    assert unlike_outputs(plan, X | {"a": Range(0, 10), "b": Range(0, 1)}) == [concat]
    assert unlike_outputs(plan, X | {"a": Range(0, 1.5), "b": Range(0, 1)}) == []


def test_unlike_tensors_that_are_computed_with_stay_joined_in_integers() -> None:
    assert unlike_outputs(make_plan(joined().graph.graph), X | {"a": Range(0, 10), "b": Range(0, 1)}) == []
