"""Convolutions work on channels-last data, and what is between them follows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.fused import DOMAIN
from edgecompile.core.model import Model
from edgecompile.passes.choose_layout import ChooseLayout
from edgecompile.passes.fuse_activation import FuseActivation
from tests.support.graphs import run_proven
from tests.support.passes import check_types, graph, kinds, node_of, proven, unchanged, weights

SHAPES = weights(
    w=(8, 8, 3, 3), d=(8, 1, 3, 3), e=(8, 8, 2, 2), b=(8,), c=(8, 1, 1), s=(8,), t=(8,), v=(8,), u=(8, 8, 3)
)
CONV = "Conv <pads = [1,1,1,1]> ({}, w, b)"
FIRST = f"a = {CONV.format('x')}"


def image(body: str, output: str = "1,8,16,16") -> Model:
    return graph(f"float[1,8,16,16] x => float[{output}] y", body, SHAPES)


# x -> Conv -> these -> Conv: all in between are computed channels-last.
BETWEEN = {
    "nothing": "m = Identity (a)",
    "relu": "m = Relu (a)",
    "residual": "r = Relu (a) n = " + CONV.format("r") + " m = Add (n, a)",
    "per channel": "n = Mul (a, c) m = Add (n, c)",
    "squeeze and excite": "p = GlobalAveragePool (a) q = Conv (p, one) z = Sigmoid (q) m = Mul (a, z)",
    "max pool": "n = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (a) m = Neg (n)",
    "average pool": "m = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (a)",
    "depthwise": "m = Conv <group = 8, pads = [1,1,1,1]> (a, d)",
    "down and up": "n = MaxPool <kernel_shape = [2,2], strides = [2,2]> (a) m = ConvTranspose "
    "<strides = [2,2]> (n, e)",
    "resize": "n = MaxPool <kernel_shape = [2,2], strides = [2,2]> (a) k = Constant <value = "
    'float[4] {1,1,2,2}> () m = Resize <mode = "linear"> (n, , k)',
    "concat and slice": "n = Concat <axis = 1> (a, x) i = Constant <value = int64[1] {4}> () j = "
    "Constant <value = int64[1] {12}> () l = Constant <value = int64[1] {1}> () "
    "m = Slice (n, i, j, l)",
    "instance norm": "m = InstanceNormalization (a, s, t)",
    "group norm": "m = GroupNormalization <num_groups = 4> (a, s, t)",
    "local response": "m = LRN <size = 3> (a)",
}


def test_dynamically_quantized_convolutions_are_channels_last() -> None:
    layer = (
        "q{0}, s{0}, z{0} = DynamicQuantizeLinear (x{0}) "
        "i{0} = ConvInteger <pads = [1,1,1,1]> (q{0}, k, z{0}) "
        "r{0} = Cast <to = 1> (i{0}) f{0} = Mul (s{0}, o) x{1} = Mul (r{0}, f{0}) "
    )
    body = "x0 = Relu (x) " + layer.format(0, 1) + layer.format(1, 2) + "y = Relu (x2)"
    numbers = ", ".join(str(i % 255 - 127) for i in range(8 * 8 * 9))
    constants = f"{weights(o=(1, 8, 1, 1))[:-1]}, int8[8,8,3,3] k = {{{numbers}}}>"
    before = graph("float[1,8,16,16] x => float[1,8,16,16] y", body, constants)
    after = proven(ChooseLayout("nhwc"), before).model
    assert kinds(after).count("ConvIntegerNhwc") == kinds(after).count("Transpose") == 2


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_everything_between_convolutions_follows(between: str) -> None:
    shapes = SHAPES[:-1] + ", " + weights(one=(8, 8, 1, 1))[1:]
    body = f"{FIRST} {between} y = {CONV.format('m')}"
    before = graph("float[1,8,16,16] x => float[1,8,16,16] y", body, shapes)
    after = kinds(proven(ChooseLayout("nhwc"), before).model)
    assert after.count("Transpose") == 2
    assert (after[0], after[-1]) == ("Transpose", "Transpose")


def test_nothing_to_do_for_channels_first() -> None:
    unchanged(ChooseLayout("nchw"), image(f"y = {CONV.format('x')}"))


def test_weights_stay_as_they_are() -> None:
    after = proven(ChooseLayout("nhwc"), image(f"y = {CONV.format('x')}")).model
    node = node_of(after, "ConvNhwc")
    assert node.domain == DOMAIN
    assert [value.name for value in node.inputs[1:] if value] == ["w", "b"]


def test_fused_operators_are_moved_too() -> None:
    before = FuseActivation()(image(f"{FIRST} m = Relu (a) y = {CONV.format('m')}")).model
    assert kinds(proven(ChooseLayout("nhwc"), before).model) == [
        "Transpose",
        "ConvNhwcRelu",
        "ConvNhwc",
        "Transpose",
    ]


def test_image_of_one_channel_is_not_transposed() -> None:
    body = "a = Conv (x, w) y = GlobalAveragePool (a)"
    before = graph("float[1,1,9,9] x => float[1,8,1,1] y", body, weights(w=(8, 1, 3, 3)))
    assert kinds(proven(ChooseLayout("nhwc"), before).model) == ["ConvNhwc", "GlobalAveragePoolNhwc"]


def test_existing_transposes_vanish() -> None:
    body = f"h = Transpose <perm = [0,3,1,2]> (x) a = {CONV.format('h')} y = Transpose <perm = [0,2,3,1]> (a)"
    before = graph("float[1,16,16,8] x => float[1,16,16,8] y", body, SHAPES)
    assert kinds(proven(ChooseLayout("nhwc"), before).model) == ["ConvNhwc"]


# Too little to gain, or no channels-last form.
KEPT = {
    "lone pool": ("1,8,15,15", "a = Relu (x) y = MaxPool <kernel_shape = [2,2]> (a)"),
    "lone depthwise convolution": ("1,8,14,14", "y = Conv <group = 8> (x, d)"),
    "global pool": ("1,8,1,1", "a = Relu (x) y = GlobalAveragePool (a)"),
    "no convolution": ("1,8,16,16", "a = Relu (x) y = Softmax <axis = 1> (a)"),
}


@pytest.mark.parametrize(("size", "body"), KEPT.values(), ids=KEPT)
def test_kept(size: str, body: str) -> None:
    unchanged(ChooseLayout("nhwc"), image(body, size))


def test_one_dimensional_convolution_is_kept() -> None:
    before = graph("float[1,8,64] x => float[1,8,62] y", "y = Conv (x, u)", SHAPES)
    unchanged(ChooseLayout("nhwc"), before)


def test_pool_with_indices_is_kept_between_transposes() -> None:
    pool = "m, i = MaxPool <kernel_shape = [1,1]> (a) j = Cast <to = 1> (i) n = Add (m, j)"
    body = f"{FIRST} {pool} y = {CONV.format('n')}"
    after = proven(ChooseLayout("nhwc"), image(body)).model
    assert kinds(after).count("MaxPool") == 1
    assert kinds(after).count("ConvNhwc") == 2


def test_value_that_is_also_an_output() -> None:
    body = f"{FIRST} m = Relu (a) y = {CONV.format('m')}"
    before = graph("float[1,8,16,16] x => float[1,8,16,16] m, float[1,8,16,16] y", body, SHAPES)
    after = proven(ChooseLayout("nhwc"), before).model
    assert kinds(after).count("Transpose") == 3
    assert [value.name for value in after.graph.graph.outputs] == ["m", "y"]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_networks_stay_the_same(data: st.DataObject) -> None:
    """Values [1,8,6,6], joined at random, with a few values as outputs."""
    names, nodes = ["x"], []
    for index in range(data.draw(st.integers(2, 8))):
        first, second = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
        text = data.draw(
            st.sampled_from(
                [
                    CONV.format(first),
                    f"Conv <group = 8, pads = [1,1,1,1]> ({first}, d)",
                    f"Relu ({first})",
                    f"Add ({first}, {second})",
                    f"Mul ({first}, c)",
                    f"Softmax <axis = 1> ({first})",
                    f"MatMul ({first}, {second})",
                    f"MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> ({first})",
                    f"Transpose <perm = [0,1,3,2]> ({first})",
                    f"Reshape ({first}, shape)",
                ]
            )
        )
        nodes.append(f"a{index} = {text}")
        names.append(f"a{index}")
    outputs = sorted({names[-1], data.draw(st.sampled_from(names[1:]))})
    signature = "float[1,8,6,6] x => " + ", ".join(f"float[1,8,6,6] {name}" for name in outputs)
    shape = "shape = Constant <value = int64[4] {1,8,6,6}> ()"
    before = graph(signature, f"{shape} {' '.join(nodes)}", SHAPES)
    check_types(run_proven(ChooseLayout("nhwc"), before).model)


def test_a_small_convolution_behind_interleaved_channels_follows() -> None:
    """The Transpose that interleaves can as well yield channels-last data: there is nothing to pay."""
    body = """
        a = Conv (x, w) split = Constant <value = int64[6] {1,2,2,32,28,28}> ()
        b = Reshape (a, split) c = Transpose <perm = [0,3,4,1,5,2]> (b)
        flat = Constant <value = int64[4] {1,32,56,56}> () d = Reshape (c, flat) y = Conv (d, u)
    """
    before = graph(
        "float[1,8,28,28] x => float[1,8,56,56] y", body, weights(w=(128, 8, 1, 1), u=(8, 32, 1, 1))
    )
    after = kinds(proven(ChooseLayout("nhwc"), before).model)
    assert after.count("ConvNhwc") == 2
