"""Every operator that is written computes, read back and evaluated, what onnxruntime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecompile.backends.coreml.constraints import TABLE
from edgecompile.backends.coreml.registry import WRITERS
from tests.support.coreml import IOS17, IOS18, check, kinds, needs_coremltools, program_of
from tests.support.graphs import message, model
from tests.support.operators import node_model, normal
from tests.support.quantized import as_model

pytestmark = needs_coremltools
EXAMPLES = settings(max_examples=5, deadline=None)

IMAGE = "float[2,6,8,9]"
UNARY = """
    Abs Acos Asin Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity
    LeakyRelu LogSoftmax Mish Neg Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign
    Swish Tan Tanh ThresholdedRelu
""".split()
# Of what is in (-1, 1) only.
LIMITED = {"Acos", "Asin", "Atanh"}
COMPARISONS = "Equal Greater GreaterOrEqual Less LessOrEqual".split()
REDUCTIONS = "L1 L2 LogSumExp Max Mean Min Prod Sum SumSquare".split()

# What goes in and comes out; initializers; the network; what it becomes, without the casts at its borders.
CASES: dict[str, tuple[str, str, str, str]] = {
    "ArgMax": (f"({IMAGE} x) => (int64[2,1,8,9] y)", "", "y = ArgMax<axis=1>(x)", "reduce_argmax"),
    "ArgMin": (
        f"({IMAGE} x) => (int64[2,6,8] y)",
        "",
        "y = ArgMin<axis=-1, keepdims=0>(x)",
        "reduce_argmin reshape",
    ),
    "Attention": (
        "(float[2,3,4,8] q, float[2,3,5,8] k, float[2,3,5,8] v) => (float[2,3,4,8] y)",
        "",
        "y = Attention(q, k, v)",
        "",
    ),
    "AveragePool": (
        f"({IMAGE} x) => (float[2,6,5,4] y)",
        "",
        "y = AveragePool<kernel_shape=[3,3], strides=[2,3], pads=[1,1,2,2], count_include_pad=1>(x)",
        "avg_pool",
    ),
    "BatchNormalization": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<float[6] s={1,2,3,4,5,6}, float[6] m={1,0,3,0,5,6}, float[6] v={1,2,0.5,4,5,6}>",
        "r = Relu(x) y = BatchNormalization(r, s, m, m, v)",
        "",
    ),
    "Cast": (f"({IMAGE} x) => ({IMAGE} y)", "", "a = Cast<to=7>(x) y = Cast<to=1>(a)", "cast cast"),
    "Clip": (f"({IMAGE} x) => ({IMAGE} y)", "<float a={-0.5}, float b={0.25}>", "y = Clip(x, a, b)", "clip"),
    "Clip below": (f"({IMAGE} x) => ({IMAGE} y)", "<float a={-0.5}>", "y = Clip(x, a)", "maximum"),
    "Concat": (
        f"({IMAGE} x) => (float[2,12,8,9] y)",
        "",
        "a = Relu(x) y = Concat<axis=1>(x, a)",
        "relu concat",
    ),
    "CumSum": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<int64 k={2}>",
        "y = CumSum<exclusive=1, reverse=1>(x, k)",
        "cumsum",
    ),
    "DepthToSpace rows": (
        "(float[2,12,3,4] x) => (float[2,3,6,8] y)",
        "",
        'y = DepthToSpace<blocksize=2, mode="DCR">(x)',
        "depth_to_space",
    ),
    "DepthToSpace columns": (
        "(float[2,12,3,4] x) => (float[2,3,6,8] y)",
        "",
        'y = DepthToSpace<blocksize=2, mode="CRD">(x)',
        "pixel_shuffle",
    ),
    "Expand": (
        f"(float[6,1,9] x) => ({IMAGE} y)",
        "<int64[4] a={2,6,8,9}>",
        "y = Expand(x, a)",
        "reshape tile",
    ),
    "Gather": (
        f"({IMAGE} x) => (float[2,6,3,9] y)",
        "<int64[3] a={-1,0,5}>",
        "y = Gather<axis=2>(x, a)",
        "gather",
    ),
    "Gather at run time": (
        "(float[5] x) => (float[5,2] y)",
        "<float[3,2] w={1,2,3,4,5,6}>",
        "a = Sigmoid(x) b = Cast<to=7>(a) y = Gather(w, b)",
        "sigmoid cast gather",
    ),
    "GatherElements": (
        f"({IMAGE} x, {IMAGE} z) => ({IMAGE} y)",
        "",
        "a = Sigmoid(z) b = Cast<to=7>(a) y = GatherElements<axis=1>(x, b)",
        "sigmoid cast gather_along_axis",
    ),
    "GatherND": (
        f"({IMAGE} x) => (float[2,8,9] y)",
        "<int64[2,2] a={1,2,0,5}>",
        "y = GatherND(x, a)",
        "gather_nd",
    ),
    "Gelu by tanh": (f"({IMAGE} x) => ({IMAGE} y)", "", 'y = Gelu<approximate="tanh">(x)', "gelu"),
    "Gemm": (
        "(float[5,3] x, float[4,5] z, float[3,1] b) => (float[3,4] y)",
        "",
        "y = Gemm<alpha=0.5, beta=2.0, transA=1, transB=1>(x, z, b)",
        "matmul mul mul add",
    ),
    "GlobalAveragePool": (
        f"({IMAGE} x) => (float[2,6,1,1] y)",
        "",
        "y = GlobalAveragePool(x)",
        "reduce_mean",
    ),
    "GlobalMaxPool": (f"({IMAGE} x) => (float[2,6,1,1] y)", "", "y = GlobalMaxPool(x)", "reduce_max"),
    "GroupNormalization": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<float[6] s={1,2,3,4,5,6}>",
        "y = GroupNormalization<num_groups=2>(x, s, s)",
        "reshape instance_norm reshape mul add",
    ),
    "InstanceNormalization": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<float[6] s={1,2,3,4,5,6}>",
        "y = InstanceNormalization(x, s, s)",
        "instance_norm",
    ),
    "IsNaN": (f"({IMAGE} x) => (bool[2,6,8,9] y)", "", "a = Log(x) y = IsNaN(a)", "log not_equal"),
    "LRN": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "",
        "y = LRN<size=3, alpha=0.5, bias=2.0>(x)",
        "local_response_norm",
    ),
    "LayerNormalization": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<float[9] s={1,2,3,4,5,6,7,8,9}>",
        "y = LayerNormalization(x, s, s)",
        "layer_norm",
    ),
    "LpNormalization": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "",
        "y = LpNormalization<axis=1, p=1>(x)",
        "reduce_l1_norm real_div",
    ),
    "MatMul": (
        "(float[2,3,4,5] x, float[5,6] z) => (float[2,3,4,6] y)",
        "",
        "y = MatMul(x, z)",
        "matmul",
    ),
    "MatMul by a vector": (
        "(float[3,4,5] x, float[5] z) => (float[3,4] y)",
        "",
        "y = MatMul(x, z)",
        "expand_dims matmul squeeze",
    ),
    "MatMul of a vector": (
        "(float[5] x, float[3,5,4] z) => (float[3,4] y)",
        "",
        "y = MatMul(x, z)",
        "expand_dims matmul squeeze",
    ),
    "MaxPool beyond the end": (
        f"({IMAGE} x) => (float[2,6,4,4] y)",
        "",
        "y = MaxPool<kernel_shape=[3,3], strides=[2,3], pads=[1,1,0,1], ceil_mode=1>(x)",
        "max_pool",
    ),
    "Mod": ("(int64[5] x) => (int64[5] y)", "<int64[1] z={3}>", "y = Mod(x, z)", "mod"),
    "PRelu of channels": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<float[6,1,1] s={0.1,0.2,0.3,0.4,-0.5,0.6}>",
        "y = PRelu(x, s)",
        "prelu",
    ),
    "PRelu of all": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<float[1] s={0.1}>",
        "y = PRelu(x, s)",
        "minimum mul relu add",
    ),
    "Pad": (
        f"({IMAGE} x) => (float[2,9,8,12] y)",
        "<int64[8] a={0,1,0,1,0,2,0,2}, float v={1.5}>",
        "y = Pad(x, a, v)",
        "pad",
    ),
    "Pad by reflection": (
        f"({IMAGE} x) => (float[2,6,10,12] y)",
        "<int64[8] a={0,0,1,1,0,0,1,2}>",
        'y = Pad<mode="reflect">(x, a)',
        "pad",
    ),
    "Pad by edges": (
        f"({IMAGE} x) => (float[2,6,10,12] y)",
        "<int64[8] a={0,0,1,1,0,0,1,2}>",
        'y = Pad<mode="edge">(x, a)',
        "pad",
    ),
    "RMSNormalization": (
        f"({IMAGE} x) => ({IMAGE} y)",
        "<float[9] s={1,2,3,4,5,6,7,8,9}>",
        "y = RMSNormalization(x, s)",
        "",
    ),
    "Reciprocal": (f"({IMAGE} x) => ({IMAGE} y)", "", "a = Exp(x) y = Reciprocal(a)", ""),
    "ReduceLogSum": (
        f"({IMAGE} x) => (float[2,1,8,9] y)",
        "<int64[1] b={1}>",
        "a = Exp(x) y = ReduceLogSum(a, b)",
        "exp reduce_log_sum",
    ),
    "Slice": (
        f"({IMAGE} x) => (float[2,6,3,4] y)",
        "<int64[2] a={1,0}, int64[2] b={7,9223372036854775807}, int64[2] c={2,3}, int64[2] d={2,3}>",
        "y = Slice(x, a, b, c, d)",
        "slice_by_index",
    ),
    "Slice backwards": (
        f"({IMAGE} x) => (float[2,6,4,9] y)",
        "<int64[2] a={7,8}, int64[2] b={0,-100}, int64[2] c={2,3}, int64[2] d={-2,-1}>",
        "y = Slice(x, a, b, c, d)",
        "slice_by_index",
    ),
    "SpaceToDepth": (
        "(float[2,3,6,8] x) => (float[2,12,3,4] y)",
        "",
        "y = SpaceToDepth<blocksize=2>(x)",
        "space_to_depth",
    ),
    "Split": (
        f"({IMAGE} x) => (float[2,2,8,9] y, float[2,4,8,9] z)",
        "<int64[2] s={2,4}>",
        "y, z = Split<axis=1>(x, s)",
        "split",
    ),
    "Sqrt": (f"({IMAGE} x) => ({IMAGE} y)", "", "a = Abs(x) y = Sqrt(a)", "abs sqrt"),
    "Swish of a factor": (f"({IMAGE} x) => ({IMAGE} y)", "", "y = Swish<alpha=1.7>(x)", "mul sigmoid mul"),
    "Tile": (
        f"({IMAGE} x) => (float[2,12,8,27] y)",
        "<int64[4] a={1,2,1,3}>",
        "y = Tile(x, a)",
        "tile",
    ),
    "TopK": (
        f"({IMAGE} x) => (float[2,6,8,3] y, int64[2,6,8,3] i)",
        "<int64[1] k={3}>",
        "y, i = TopK(x, k)",
        "topk",
    ),
    "Transpose": (f"({IMAGE} x) => (float[9,2,8,6] y)", "", "y = Transpose<perm=[3,0,2,1]>(x)", "transpose"),
    "Trilu": (f"({IMAGE} x) => ({IMAGE} y)", "<int64 k={1}>", "y = Trilu<upper=0>(x, k)", "band_part"),
    "Trilu above": (f"({IMAGE} x) => ({IMAGE} y)", "<int64 k={-2}>", "y = Trilu(x, k)", "band_part"),
    "Where": (
        f"({IMAGE} x, float[6,1,9] z) => ({IMAGE} y)",
        "",
        "c = Less(x, z) y = Where(c, x, z)",
        "less select",
    ),
    "logic": (
        f"({IMAGE} x, {IMAGE} z) => (bool[2,6,8,9] y)",
        "",
        "a = Cast<to=9>(x) b = Cast<to=9>(z) c = Not(b) d = And(a, c) e = Or(d, b) y = Xor(e, a)",
        "cast cast logical_not logical_and logical_or logical_xor",
    ),
}
# Attributes of Resize, and what it becomes.
RESIZES = {
    'mode="nearest"': "upsample_nearest_neighbor upsample_nearest_neighbor",
    'mode="nearest", coordinate_transformation_mode="align_corners"': "upsample_nearest_neighbor gather",
    'mode="linear"': "resize",
    'mode="linear", coordinate_transformation_mode="align_corners"': "resize",
    'mode="linear", coordinate_transformation_mode="asymmetric"': "resize",
    'mode="cubic"': "matmul matmul",
}


def graph(case: tuple[str, str, str, str]) -> Any:
    return model(f"agraph {case[0]} {case[1]} {{ {case[2]} }}")


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str) -> None:
    found = check(graph(CASES[name]))
    expected = CASES[name][3]
    assert expected in " ".join(found)


def test_unaries_in_one_network() -> None:
    """One network is written as fast as one operator."""
    outputs = ", ".join(f"{IMAGE} {name}_y" for name in UNARY)
    body = " ".join(f"{name}_y = {name}({'b' if name in LIMITED else 'x'})" for name in UNARY)
    constant = "<float scale={0.5}>"
    check(model(f"agraph ({IMAGE} x) => ({outputs}) {constant} {{ a = Sin(x) b = Mul(a, scale) {body} }}"))


def test_binaries_in_one_network() -> None:
    results = [
        *((name, "float", f"{name}(x, b)") for name in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
        *((name, "float", f"{name}(x, b, x)") for name in ("Sum", "Mean")),
        ("Pow", "float", "Pow(b, z)"),
        ("Square", "float", "Pow(x, two)"),
        *((name, "bool", f"{name}(x, z)") for name in COMPARISONS),
    ]
    outputs = ", ".join(f"{kind}[2,6,8,9] {name}_y" for name, kind, _ in results)
    body = " ".join(f"{name}_y = {call}" for name, _, call in results)
    check(
        model(f"agraph ({IMAGE} x, float[6,1,9] z) => ({outputs}) <int64 two={{2}}> {{ b = Exp(z) {body} }}"),
        tolerance=8e-3,
    )


def test_reductions_in_one_network() -> None:
    outputs = ", ".join(f"float[2,6,9] {name}_y, float {name}_z" for name in REDUCTIONS)
    body = " ".join(
        f"{name}_y = Reduce{name}<keepdims=0>(x, a) {name}_t = Reduce{name}<keepdims=0>(x) "
        f"{name}_z = Identity({name}_t)"
        for name in REDUCTIONS
    )
    check(model(f"agraph ({IMAGE} x) => ({outputs}) <int64[1] a={{2}}> {{ {body} }}"))


@pytest.mark.parametrize("attributes", RESIZES)
def test_resize(attributes: str) -> None:
    signature = "(float[2,3,6,8] x) => (float[2,3,12,24] y) <float[4] s={1,1,2,3}>"
    network = model(f"agraph {signature} {{ y = Resize<{attributes}>(x, , s) }}")
    assert RESIZES[attributes] in " ".join(check(network))


@EXAMPLES
@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    """Of one to three spatial axes, of any group, with any padding."""
    rank, group = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2, 4]))
    numbers = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    kernel, strides, dilations, more = (data.draw(numbers) for _ in range(4))
    sizes = [(k - 1) * d + extra for k, d, extra in zip(kernel, dilations, more, strict=True)]
    pads = data.draw(st.lists(st.integers(0, 2), min_size=2 * rank, max_size=2 * rank))
    x, weights, bias = normal(2, 4, *sizes), normal(4, 4 // group, *kernel, seed=1), normal(4, seed=2)
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    check(as_model(node_model("Conv", [x, weights, bias], constants=(1, 2), **attributes)))


@EXAMPLES
@given(st.data())
def test_transposed_convolutions(data: st.DataObject) -> None:
    rank, group = data.draw(st.integers(1, 2)), data.draw(st.sampled_from([1, 2]))
    numbers = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    kernel, strides, dilations, sizes = (data.draw(numbers) for _ in range(4))
    pads = data.draw(st.lists(st.integers(0, 1), min_size=2 * rank, max_size=2 * rank))
    extra = [
        data.draw(st.integers(0, min(end, step - 1))) for end, step in zip(pads[rank:], strides, strict=True)
    ]
    axes = zip(sizes, strides, kernel, dilations, pads[:rank], pads[rank:], extra, strict=True)
    assume(all(s * (n - 1) + d * (k - 1) + 1 - low - high + e > 0 for n, s, k, d, low, high, e in axes))
    x, weights, bias = normal(2, 4, *sizes), normal(4, 4 // group, *kernel, seed=1), normal(4, seed=2)
    attributes: dict[str, Any] = {
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "output_padding": extra,
        "group": group,
    }
    check(as_model(node_model("ConvTranspose", [x, weights, bias], constants=(1, 2), **attributes)))


@EXAMPLES
@given(st.data())
def test_pools(data: st.DataObject) -> None:
    rank, kind = data.draw(st.integers(1, 2)), data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    numbers = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    kernel, strides = data.draw(numbers), data.draw(numbers)
    pads = [data.draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "ceil_mode": data.draw(st.integers(0, 1)),
    }
    check(as_model(node_model(kind, [normal(2, 3, *[7, 6][:rank])], **attributes)))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lstm(direction: str) -> None:
    """With states, peepholes, and other activations."""
    count = 2 if direction == "bidirectional" else 1
    x, h, c = normal(5, 3, 4), normal(count, 3, 6, seed=4), normal(count, 3, 6, seed=5)
    weights = [
        normal(count, 24, 4, seed=1) / 2,
        normal(count, 24, 6, seed=2) / 2,
        normal(count, 48, seed=3) / 3,
    ]
    inputs = [x, *weights, None, h, c, normal(count, 18, seed=6) / 3]
    activations = ["Sigmoid", "Relu", "Tanh"] * count
    node = node_model(
        "LSTM", inputs, constants=(1, 2, 3, 7), outputs=("y0", "y1", "y2"),
        hidden_size=6, direction=direction, activations=activations,
    )  # fmt: skip
    assert "lstm" in check(as_model(node))


def test_lstm_without_anything() -> None:
    inputs = [normal(5, 3, 4), normal(1, 24, 4, seed=1), normal(1, 24, 6, seed=2)]
    check(as_model(node_model("LSTM", inputs, constants=(1, 2), outputs=("y0", "y1"), hidden_size=6)))


@pytest.mark.parametrize(("transposed", "bias"), [(0, 4), (1, 4), (1, 1), (0, None)])
def test_dense_layer(transposed: int, bias: int | None) -> None:
    weights = normal(*((4, 5) if transposed else (5, 4)), seed=1)
    inputs = [normal(3, 5), weights, *([] if bias is None else [normal(bias, seed=2)])]
    node = node_model("Gemm", inputs, constants=range(1, len(inputs)), transB=transposed)
    assert kinds(program_of(as_model(node))) == ["cast", "linear", "cast"]
    check(as_model(node))


@pytest.mark.parametrize("system", [IOS17, IOS18])
@pytest.mark.parametrize("colours", [2, 3, 16])
def test_few_different_weights_become_a_palette(system: Any, colours: int) -> None:
    palette = normal(colours, seed=3).astype(np.float16).astype(np.float32)
    weights = np.random.default_rng(0).choice(palette, (8, 4, 3, 3))
    node = as_model(node_model("Conv", [normal(2, 4, 6, 6), weights], constants=(1,)))
    assert "constexpr_lut_to_dense" in check(node, settings=system)


def test_weights_in_blocks_of_four_bits() -> None:
    """The form of the recipe int4w, for iOS 18."""
    graph_ = message(
        "agraph (float[3,64] x) => (float[3,4] y) { d = DequantizeLinear<axis=0, block_size=32>(w, s) "
        "y = MatMul(x, d) }"
    )
    numbers = np.random.default_rng(0).integers(-8, 8, 256).tolist()
    graph_.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.INT4, [64, 4], numbers))
    graph_.graph.initializer.append(onnx.numpy_helper.from_array(np.abs(normal(2, 4)) / 8, "s"))
    assert "constexpr_blockwise_shift_scale" in check(as_model(graph_), settings=IOS18)


@pytest.mark.parametrize(
    ("scales", "kind"), [([0.02, 1e-7], "constexpr_affine_dequantize"), ([1e-5, 2e-5], "conv")]
)
def test_weights_with_small_scales(scales: list[float], kind: str) -> None:
    """A channel without weights to speak of does not cost the others their 8 bits; small ones are float16."""
    graph_ = message(
        "agraph (float[1,3,5,5] x) => (float[1,2,3,3] y) "
        "{ d = DequantizeLinear<axis=0>(w, s) y = Conv(x, d) }"
    )
    integers = np.random.default_rng(0).integers(-127, 128, (2, 3, 3, 3), np.int8)
    for name, array in (("w", integers), ("s", np.array(scales, np.float32))):
        graph_.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    assert check(as_model(graph_))[1] == kind


def test_every_operator_of_the_table_can_be_written() -> None:
    assert set(TABLE.operators) == set(WRITERS)


def test_numbers_and_integers_at_the_borders() -> None:
    text = (
        "agraph (float x, int64[3] i, bool[3] b) => (float y, int64[3] j, bool[3] c) "
        "{ y = Exp(x) j = Neg(i) c = Not(b) }"
    )
    program = program_of(model(text))
    assert [result.dtype for result in program.inputs] == ["float32", "int32", "int32"]
    assert [result.shape for result in program.outputs] == [(1,), (3,), (3,)]
    check(model(text))


def test_names_that_would_clash() -> None:
    """MIL calls the results of an operation, and its constants, as the operation with something behind it."""
    text = (
        "agraph (float[2,6] x) => (float[2,3] s_1, float[2,6] int32) <int64[2] n={3,3}> "
        "{ s_0, s_1 = Split<axis=1>(x, n) s_axis_0 = Exp(s_0) "
        "t = Concat<axis=1>(s_axis_0, s_0) int32 = Relu(t) }"
    )
    network = model(text)
    for node, name in zip(network.graph.graph, ("s", "s_0", "s_axis_0", "1st layer"), strict=True):
        node.name = name
    check(network)


def test_integers_of_a_quantized_network_are_moved() -> None:
    """Of 8 bits, also at the borders, as in TensorFlow Lite files."""
    text = (
        "agraph (int8[1,4,6,3] x) => (int8[1,24,2] y) "
        "<float s={0.05}, int8 z={3}, int64[3] h={1,24,3}, int64[1] a={0}, int64[1] b={2}, int64[1] c={2}> "
        "{ t = Transpose<perm=[0,2,1,3]>(x) r = Reshape(t, h) u = Slice(r, a, b, c) "
        "d = DequantizeLinear(u, s, z) e = Relu(d) y = QuantizeLinear(e, s, z) }"
    )
    assert "transpose reshape slice_by_index dequantize relu quantize" in " ".join(check(model(text)))
