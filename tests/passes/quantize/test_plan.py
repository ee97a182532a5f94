"""Which operators compute in integers, and which tensors share a scale."""

from __future__ import annotations

import pytest

from edgecompile.core.model import Model
from edgecompile.passes.quantize.plan import Plan, make_plan
from tests.passes.quantize.networks import constants, graph, prepared, prepared_cnn
from tests.support.passes import weights


def plan_of(model: Model, *keep: str) -> Plan:
    return make_plan(model.graph.graph, keep)


def kinds(plan: Plan) -> list[str]:
    return [node.op_type for node in plan.nodes]


def groups(plan: Plan) -> list[set[str]]:
    return [{str(value.name) for value in group.values} for group in plan.groups]


def test_a_whole_network_computes_in_integers() -> None:
    model = prepared_cnn()
    moved = {"Reshape"}
    assert set(kinds(plan_of(model))) == {node.op_type for node in model.graph.graph} - moved


def test_what_a_relu_clamps_is_not_stored() -> None:
    body = "c = Conv<pads=[1,1,1,1]>(x, w) y = Relu(c)"
    plan = plan_of(graph("float[1,2,4,4] x => float[1,3,4,4] y", body, weights(w=(3, 2, 3, 3))))
    assert groups(plan) == [{"x"}, {"y"}]


def test_what_others_read_too_is_stored() -> None:
    body = "c = Conv(x, w) r = Relu(c) y = Add(c, r)"
    plan = plan_of(graph("float[1,2,4,4] x => float[1,3,4,4] y", body, weights(w=(3, 2, 1, 1))))
    assert groups(plan) == [{"x"}, {"c"}, {"r"}, {"y"}]


def test_moved_tensors_share_a_scale() -> None:
    body = """
        c = Conv(x, w) r = Relu(c) p = MaxPool<kernel_shape=[2,2]>(r)
        t = Transpose<perm=[0,2,3,1]>(p) y = Reshape(t, s)
    """
    constant = constants(w=[[[[1.0]]]], s=[1, 9])
    plan = plan_of(graph("float[1,1,4,4] x => float[1,9] y", body, constant))
    assert groups(plan) == [{"x"}, {"r", "p", "t", "y"}]
    assert [value.name for value in plan.sources] == ["x", "r"]


def test_a_concat_joins_groups() -> None:
    body = "a = Relu(x) b = Sigmoid(x) y = Concat<axis=1>(a, b)"
    plan = plan_of(graph("float[1,2] x => float[1,4] y", body))
    assert groups(plan) == [{"x"}, {"a"}, {"y"}, {"b"}] or groups(plan) == [{"x"}, {"a"}, {"b"}, {"y"}]
    assert [node.op_type for node in plan.concats] == ["Concat"]


def test_layers_are_kept_in_float() -> None:
    body = "c = Conv(x, w) y = Tanh(c)"
    model = graph("float[1,2,4,4] x => float[1,3,4,4] y", body, weights(w=(3, 2, 1, 1)))
    conv = next(str(node.name) for node in model.graph.graph if node.op_type == "Conv")
    assert kinds(plan_of(model)) == ["Conv", "Tanh"]
    assert kinds(plan_of(model, conv)) == []


def test_what_stands_between_float_operators_is_float() -> None:
    """The power of a signal: its products and sums span a range that 8 bits do not have."""
    body = "c = Conv(x, w) s = Mul(c, c) p = Add(s, s) r = Sqrt(p) y = Conv(r, v)"
    model = graph("float[1,2,4] x => float[1,1,4] y", body, weights(w=(3, 2, 1), v=(1, 3, 1)))
    assert kinds(plan_of(model)) == ["Conv", "Conv"]
    assert groups(plan_of(model)) == [{"x"}, {"c"}, {"r"}, {"y"}]


def test_a_relu_belongs_to_its_convolution_whatever_reads_it() -> None:
    body = "c = Conv(x, w) r = Relu(c) y = Exp(r)"
    model = graph("float[1,2,4] x => float[1,3,4] y", body, weights(w=(3, 2, 1)))
    assert kinds(plan_of(model)) == ["Conv", "Relu"]


@pytest.mark.parametrize(
    "body",
    [
        "y = Exp(x)",
        'y = Conv<auto_pad="SAME_UPPER">(x, w)',
        "y = Conv(x, w, x2)",
        "y = ConvTranspose(x, w)",
        "y = AveragePool<kernel_shape=[1,1], ceil_mode=1>(x)",
    ],
)
def test_what_has_no_integer_form_is_float(body: str) -> None:
    signature = "float[1,1,4,4] x, float[1] x2 => float[1,1,4,4] y"
    assert kinds(plan_of(graph(signature, body, constants(w=[[[[1.0]]]])))) == []


def test_integers_of_the_network_itself_are_left_alone() -> None:
    body = "b = Add(a, a) r = Cast<to=1>(b) y = Relu(r)"
    assert groups(plan_of(graph("int64[2] a => float[2] y", body))) == []


UPSAMPLED = """
    a = ConvTranspose<strides=[2,2]>(x, w) b = Relu(a) c = Resize<mode="linear">(b, , , s) y = Conv(c, v)
"""


def test_transposed_convolutions_and_interpolation_compute_in_integers() -> None:
    constant = weights(w=(2, 3, 2, 2), v=(1, 3, 1, 1))[:-1] + ", " + constants(s=[1, 3, 9, 9])[1:]
    message = graph("float[1,2,4,4] x => float[1,1,9,9] y", UPSAMPLED, constant).to_proto()
    model = prepared(message)
    assert kinds(plan_of(model)) == ["Conv", "Relu", "Resize", "Conv"]
    moved = max(groups(plan_of(model)), key=len)
    assert "c" in moved
    (resize,) = (node for node in model.graph.graph if node.op_type == "Resize")
    assert {str(value.name) for value in (resize.inputs[0], resize.outputs[0]) if value} <= moved
    assert kinds(plan_of(model, str(resize.name))) == ["Conv", "Relu", "Conv"]
    assert [node.op_type for node in make_plan(model.graph.graph, (), "int16").nodes] == [
        "Conv",
        "Relu",
        "Conv",
    ]


def test_interpolation_between_float_operators_is_float() -> None:
    body = 'a = Exp(x) b = Resize<mode="linear">(a, , , s) y = Exp(b)'
    assert kinds(plan_of(graph("float[1,1,4] x => float[1,1,8] y", body, constants(s=[1, 1, 8])))) == []


def test_softmax_has_no_routine_of_16_bits() -> None:
    model = graph("float[2,8] x => float[2,8] y", "a = Sigmoid(x)\ny = Softmax(a)")
    assert [node.op_type for node in make_plan(model.graph.graph).nodes] == ["Sigmoid", "Softmax"]
    assert [node.op_type for node in make_plan(model.graph.graph, (), "int16").nodes] == []
