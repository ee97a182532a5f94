"""Every operator of the interpreter against onnxruntime, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from edgecompile.errors import UnsupportedError, UsageError
from edgecompile.torch.functional import FUNCTIONS, constants, run
from tests.support.operators import Reference, expect, node_model
from tests.support.passes import graph, weights

Array = np.ndarray[Any, Any]


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def positive(*shape: int) -> Array:
    return np.abs(noise(*shape)) + np.float32(0.1)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def real(numbers: float | list[float]) -> Array:
    return np.array(numbers, np.float32)


@dataclass(frozen=True)
class Case:
    """A node: its inputs, attributes, and the number of its outputs."""

    op_type: str
    inputs: tuple[Array | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    reference: Reference = "onnxruntime"
    opset: int = 22


def case(op_type: str, *inputs: Array | None, **attributes: Any) -> Case:
    return Case(op_type, inputs, attributes)


IMAGE = noise(2, 4, 7, 6)
CONV = noise(6, 4, 3, 3, seed=1)
BIAS = noise(6, seed=2)
CHANNELS = (noise(4, seed=3), noise(4, seed=4))
YES = IMAGE > 0
SIZES = whole(2, 4, 9, 1)

ANY_NUMBER = (
    "Abs Ceil Cos Erf Exp Floor HardSwish Identity Mish Neg Relu Round Sigmoid Sign Sin Softplus".split()
)
CASES = (
    *(case(name, IMAGE) for name in [*ANY_NUMBER, "Softsign", "Tanh", "Elu", "Celu", "Gelu", "HardSigmoid"]),
    *(case(name, IMAGE) for name in "LeakyRelu LogSoftmax Selu Shape Softmax ThresholdedRelu".split()),
    *(case(name, positive(3, 4)) for name in ("Log", "Reciprocal", "Sqrt")),
    *(case(name, IMAGE, noise(4, 1, 6)) for name in ("Add", "Sub", "Mul", "Div", "Greater", "Less")),
    *(case(name, IMAGE, IMAGE) for name in ("Equal", "GreaterOrEqual", "LessOrEqual")),
    *(case(name, IMAGE, noise(4, 1, 6), noise(6)) for name in ("Max", "Min", "Sum")),
    *(case(name, YES, noise(4, 7, 6, seed=1) > 0) for name in ("And", "Or")),
    *(case(name, IMAGE, whole(1, -1), keepdims=0) for name in ("ReduceMax", "ReduceMin", "ReduceMean")),
    *(case(f"Reduce{name}", IMAGE, whole(2)) for name in ("L1", "L2", "LogSumExp", "Sum", "SumSquare")),
    case("ReduceSum", IMAGE),
    case("ReduceSum", IMAGE, None, noop_with_empty_axes=1),
    case("ArgMax", IMAGE, axis=1, keepdims=0),
    case("Not", YES),
    case("Div", whole(7, -7), whole(2, 2)),
    case("Pow", positive(3, 4), real([2.5])),
    case("Clip", IMAGE, real(-0.5), real(1)),
    case("Clip", IMAGE, None, real(1)),
    case("Clip", IMAGE),
    case("Elu", IMAGE, alpha=0.3),
    case("Gelu", IMAGE, approximate="tanh"),
    case("HardSigmoid", IMAGE, alpha=0.1, beta=0.6),
    case("PRelu", IMAGE, noise(4, 1, 1)),
    Case("Swish", (IMAGE,), {"alpha": 0.5}, reference="onnx", opset=24),
    case("Where", YES, IMAGE, noise(6)),
    case("Conv", IMAGE, CONV, BIAS, pads=[1, 1, 1, 1], strides=[2, 2]),
    case("Conv", IMAGE, CONV, pads=[0, 1, 2, 0], dilations=[1, 2]),
    case("Conv", IMAGE, noise(8, 1, 3, 3), group=4, pads=[2, 2, 2, 2], dilations=[2, 2]),
    case("Conv", noise(1, 4, 9), noise(6, 4, 3), BIAS, auto_pad="VALID"),
    case("Conv", noise(1, 2, 5, 5, 5), noise(3, 2, 2, 2, 2)),
    case("ConvTranspose", IMAGE, noise(4, 3, 3, 3), noise(3), strides=[2, 2], pads=[1, 0, 1, 2]),
    case("ConvTranspose", IMAGE, noise(4, 2, 3, 3), group=2, strides=[2, 2], output_padding=[1, 1]),
    case("ConvTranspose", noise(1, 4, 9), noise(4, 3, 3), strides=[2], pads=[1, 1], output_padding=[1]),
    case("Gemm", noise(5, 3), noise(4, 5), noise(4), transA=1, transB=1, alpha=0.5, beta=2.0),
    case("Gemm", noise(3, 5), noise(5, 4)),
    case("MatMul", noise(2, 3, 5), noise(5, 4)),
    Case("Attention", (noise(1, 2, 5, 4), noise(1, 2, 6, 4), noise(1, 2, 6, 3), noise(5, 6)), opset=23),
    Case("Attention", (noise(1, 2, 5, 4), noise(1, 2, 5, 4), noise(1, 2, 5, 4)), {"is_causal": 1}, opset=23),
    case("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 2]),
    case("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("MaxPool", noise(1, 2, 9), kernel_shape=[3], dilations=[2]),
    case("AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[0, 1, 2, 0]),
    case("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[0, 1, 2, 0], count_include_pad=1),
    case("AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("GlobalAveragePool", IMAGE),
    case("GlobalMaxPool", IMAGE),
    case("BatchNormalization", IMAGE, *CHANNELS, noise(4), positive(4), epsilon=1e-3),
    case("InstanceNormalization", IMAGE, *CHANNELS, epsilon=1e-3),
    case("GroupNormalization", IMAGE, *CHANNELS, num_groups=2),
    case("LayerNormalization", IMAGE, noise(7, 6), noise(7, 6, seed=1), axis=-2, epsilon=1e-3),
    case("LayerNormalization", IMAGE, noise(6)),
    Case("RMSNormalization", (IMAGE, noise(7, 6)), {"axis": 2}, opset=23),
    case("Softmax", IMAGE, axis=1),
    case("Cast", IMAGE, to=onnx.TensorProto.INT32),
    case("Concat", IMAGE, noise(2, 1, 7, 6), IMAGE, axis=1),
    case("Constant", value=onnx.numpy_helper.from_array(noise(2, 3))),
    case("DepthToSpace", IMAGE, blocksize=2),
    case("DepthToSpace", IMAGE, blocksize=2, mode="CRD"),
    case("SpaceToDepth", noise(1, 3, 4, 6), blocksize=2),
    case("Expand", noise(3, 1), whole(2, 1, 4)),
    case("Flatten", IMAGE, axis=-2),
    case("Gather", IMAGE, np.array([[0, -1], [2, 1]]), axis=1),
    case("Gather", IMAGE, np.array(2), axis=2),
    case("Pad", IMAGE, whole(0, 0, 1, 2, 0, 1, 0, 3), real(0.5)),
    case("Pad", IMAGE, whole(2, 1, 3, 2), None, whole(2, -1), mode="reflect"),
    case("Pad", IMAGE, whole(0, 2, 0, 1, 0, 0, 3, 0), mode="edge"),
    case("Reshape", IMAGE, whole(0, -1, 3)),
    case("Slice", IMAGE, whole(1, -1), whole(3, -(2**31)), whole(1, -1), whole(1, -2)),
    case("Slice", IMAGE, whole(1), whole(2**40)),
    Case("Split", (IMAGE, whole(1, 3)), {"axis": 1}, 2),
    Case("Split", (IMAGE,), {"axis": 2, "num_outputs": 2}, 2),
    case("Squeeze", noise(1, 3, 1), whole(0)),
    case("Squeeze", noise(1, 3, 1)),
    case("Unsqueeze", noise(2, 3), whole(-1, 0)),
    case("Tile", noise(2, 3), whole(2, 3)),
    case("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    case("Transpose", noise(2, 3)),
    case("Resize", IMAGE, None, real([1, 1, 2, 3]), coordinate_transformation_mode="asymmetric"),
    case("Resize", IMAGE, None, None, whole(2, 4, 10, 4), nearest_mode="floor"),
    case("Resize", IMAGE, None, None, whole(2, 4, 3, 13), mode="linear"),
    case("Resize", IMAGE, None, real([1, 1, 1.7, 0.6]), mode="linear"),
    *(
        case("Resize", IMAGE, None, None, SIZES, mode="linear", coordinate_transformation_mode=mode)
        for mode in ("align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
    ),
)


def computed(model: onnx.ModelProto, inputs: tuple[Array | None, ...]) -> list[Array]:
    """The outputs of a model whose nodes the interpreter runs."""
    network = ir.from_proto(model).graph
    feeds = {f"x{i}": torch.from_numpy(np.array(a)) for i, a in enumerate(inputs) if a is not None}
    results = run(network, feeds, wanted=[str(value.name) for value in network.outputs])
    return [results[str(value.name)].numpy() for value in network.outputs]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.op_type)
def test_an_operator_computes_what_onnxruntime_computes(one: Case) -> None:
    names = [f"y{i}" for i in range(one.outputs)]
    model = node_model(one.op_type, one.inputs, outputs=names, opset=one.opset, **one.attributes)
    for got, wanted in zip(
        computed(model, one.inputs), expect(model, one.inputs, one.reference), strict=True
    ):
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)


def test_every_operator_has_a_case() -> None:
    assert {one.op_type for one in CASES} == set(FUNCTIONS)


_NETWORK = (
    "float[1,2,4,4] x => float[1,3,4,4] y",
    "a = Conv(x, w)\n b = Relu(a)\n y = Conv(b, v)",
    weights(w=(3, 2, 1, 1), v=(3, 3, 1, 1)),
)


def test_gradients_reach_what_is_overridden() -> None:
    nodes = list(graph(*_NETWORK).graph.graph)
    x, w = torch.from_numpy(noise(1, 2, 4, 4)), torch.from_numpy(noise(3, 2, 1, 1)).requires_grad_()
    result = run(nodes, {"x": x, **constants(nodes)}, overrides={"w": w})["y"].square().sum()
    result.backward()
    step = torch.zeros_like(w)
    step[1, 0] = 1e-3
    moved = run(nodes, {"x": x}, overrides={"w": w.detach() + step})["y"].square().sum()
    assert (moved - result).item() == pytest.approx(1e-3 * w.grad[1, 0, 0, 0].item(), rel=0.05)


def test_tensors_between_are_overridden_and_replaced() -> None:
    nodes = list(graph(*_NETWORK).graph.graph)
    x = torch.from_numpy(noise(1, 2, 4, 4))
    mine = torch.ones(1, 3, 4, 4)
    assert torch.equal(run(nodes, {"x": x}, {"b": mine})["y"], run(nodes[2:], {"b": mine})["y"])
    doubled = run(nodes, {"x": x}, through={"y": lambda y: 2 * y}, wanted=["y"])
    assert list(doubled) == ["y"]
    assert torch.equal(doubled["y"], 2 * run(nodes, {"x": x})["y"])


def test_unknown_operators_are_refused_all_at_once() -> None:
    model = graph(
        "float[1,2,4,4] x => float[1,2,4,4] y",
        "a = Det(x)\n b = Sin(x)\n c = LpNormalization(x)\n y = Add(b, c)",
    )
    with pytest.raises(UnsupportedError) as caught:
        run(model.graph.graph, {"x": torch.zeros(1, 2, 4, 4)})
    first, second = str(caught.value).splitlines()
    nodes = list(model.graph.graph)
    assert f"error[EC4391] the operator Det cannot be differentiated at '{nodes[0].name}'" in first
    assert f"LpNormalization cannot be differentiated at '{nodes[2].name}'" in second


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (case("Conv", IMAGE, CONV, auto_pad="SAME_UPPER"), "Conv with auto_pad SAME_UPPER"),
        (case("Resize", IMAGE, None, None, whole(2, 4, 9, 9), mode="cubic"), "Resize with mode cubic"),
        (case("Pad", IMAGE, whole(*[0] * 7, 1), mode="wrap"), "Pad with mode wrap"),
    ],
    ids=lambda value: getattr(value, "op_type", ""),
)
def test_forms_that_are_not_known_are_refused(one: Case, what: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        computed(node_model(one.op_type, one.inputs, **one.attributes), one.inputs)
    assert f"error[EC4392] {what} at 'node'" in str(caught.value)


def test_a_tensor_that_nobody_gives() -> None:
    with pytest.raises(UsageError) as caught:
        run(graph(*_NETWORK).graph.graph, {})
    assert "error[EC2393] the tensor 'x' has no value" in str(caught.value)
