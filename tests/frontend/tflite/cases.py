"""One small network an operator: what the operator tests run through TFLite and through our import."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.frontend.tflite.net import ACTIVATIONS, IN, OUT, SAME, VALID, Case, Net, Shape


def conv_cases(dtype: str) -> Iterator[Case]:
    for index, (padding, stride, dilation, act) in enumerate(
        [(SAME, 1, 1, "none"), (SAME, 2, 1, "relu"), (VALID, 2, 1, "relu6"), (SAME, 1, 2, "relu_n1_to_1")]
    ):
        for depthwise in (False, True):
            net = Net(dtype)
            size = [7, 8]
            extent = 2 * dilation + 1
            out = [-(-s // stride) if padding == SAME else (s - extent) // stride + 1 for s in size]
            channels = 6 if depthwise else 5
            shape = (1, 3, 3, 6) if depthwise else (5, 3, 3, 3)
            x = net.feed((2, *size, 3))
            w = net.weights("w", shape, 3 if depthwise else 0, index)
            net.tensors[-1].axis = 3 if depthwise else 0
            b = (
                net.bias("b", "w")
                if dtype == "int8" or not depthwise
                else net.constant("b", [0.5] * 6, "float32")
            )
            y = net.give((2, *out, channels))
            kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
            options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
            multiplier = {"DepthMultiplier": 2} if depthwise else {}
            net.op(
                kind,
                [x, w, b],
                [y],
                options,
                Padding=padding,
                StrideH=stride,
                StrideW=stride,
                DilationHFactor=dilation,
                DilationWFactor=dilation,
                FusedActivationFunction=ACTIVATIONS[act],
                **multiplier,
            )
            yield net.case(f"{kind.lower()}-{index}")


def transpose_conv_case(dtype: str, padding: int, stride: int) -> Case:
    net = Net(dtype)
    out = [8, 6] if padding == SAME else [3 * stride + 3, 2 * stride + 3]
    data = [-(-s // stride) for s in out] if padding == SAME else [4, 3]
    x = net.feed((1, *data, 3))
    w = net.weights("w", (4, 3, 3, 3), 0)
    b = net.bias("b", "w")
    shape = net.constant("shape", [1, *out, 4])
    y = net.give((1, *out, 4))
    net.op(
        "TRANSPOSE_CONV",
        [shape, w, x, b],
        [y],
        "TransposeConvOptions",
        Padding=padding,
        StrideH=stride,
        StrideW=stride,
    )
    return net.case(f"transpose_conv-{padding}-{stride}")


def fully_connected_case(dtype: str, rank: int, act: str, bias: bool, per_channel: bool) -> Case:
    net = Net(dtype)
    keep = rank == 3
    x = net.feed((2, 3, 8) if keep else (2, 8))
    w = net.weights("w", (5, 8), 0)
    if not per_channel and dtype != "float32":
        net.tensors[-1].scale, net.tensors[-1].zero_point = [0.0021], [0]
    b = ""
    if bias and dtype != "float32":
        b = net.constant("b", [500, -300, 20, 0, 7], "int32", [IN[0] * s for s in net.tensors[-1].scale])
    elif bias:
        b = net.constant("b", [0.5, -0.25, 0.0, 1.0, 2.0], "float32")
    y = net.give((2, 3, 5) if keep else (2, 5))
    net.op(
        "FULLY_CONNECTED",
        [x, w, b],
        [y],
        "FullyConnectedOptions",
        FusedActivationFunction=ACTIVATIONS[act],
        KeepNumDims=keep,
    )
    return net.case(f"fully_connected-{rank}-{act}-{bias}-{per_channel}")


def batch_matmul_case(dtype: str, left: bool, right: bool) -> Case:
    net = Net(dtype)
    a = net.feed((2, 4, 3) if left else (2, 3, 4))
    b = net.feed((2, 5, 4) if right else (2, 4, 5))
    y = net.give((2, 3, 5), parameters=(0.3, 2))
    net.op("BATCH_MATMUL", [a, b], [y], "BatchMatMulOptions", AdjX=left, AdjY=right)
    return net.case(f"batch_matmul-{left}-{right}")


def pool_case(dtype: str, kind: str, padding: int, stride: int, act: str = "none") -> Case:
    net = Net(dtype)
    out = [-(-s // stride) if padding == SAME else (s - 3) // stride + 1 for s in (7, 8)]
    x, y = net.feed((2, 7, 8, 3)), net.give((2, *out, 3), parameters=IN)
    fields = {"FilterHeight": 3, "FilterWidth": 3, "FusedActivationFunction": ACTIVATIONS[act]}
    net.op(kind, [x], [y], "Pool2DOptions", Padding=padding, StrideH=stride, StrideW=stride, **fields)
    return net.case(f"{kind.lower()}-{padding}-{stride}-{act}")


def unary_case(
    dtype: str,
    kind: str,
    options: str = "",
    out: tuple[float, int] = OUT,
    shape: Shape = (2, 3, 4),
    parameters: tuple[float, int] = IN,
    tolerance: int = 1,
    **fields: Any,
) -> Case:
    net = Net(dtype)
    x, y = net.feed(shape, parameters=parameters), net.give(shape, parameters=out)
    net.op(kind, [x], [y], options, **fields)
    label = "".join(f"-{value:g}" for value in fields.values())
    return net.case(kind.lower() + label, tolerance)


def binary_case(
    dtype: str, kind: str, options: str = "", shape: Shape = (2, 3, 4), result: str = "", act: str = "none"
) -> Case:
    net = Net(dtype)
    a, b = net.feed((2, 3, 4)), net.feed(shape, parameters=(0.04, 3))
    y = net.give((2, 3, 4), result)
    fields = {} if act == "none" else {"FusedActivationFunction": ACTIVATIONS[act]}
    net.op(kind, [a, b], [y], options, **fields)
    return net.case(f"{kind.lower()}-{act}-{len(shape)}")


def reduce_case(
    dtype: str, kind: str, axes: list[int], keep: bool, parameters: tuple[float, int] = OUT
) -> Case:
    net = Net(dtype)
    shape = (2, 5, 4, 3)
    x = net.feed(shape)
    left = [1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes]
    y = net.give(left, parameters=parameters)
    net.op(kind, [x, net.constant("axes", axes)], [y], "ReducerOptions", KeepDims=keep)
    return net.case(f"{kind.lower()}-{axes}-{keep}-{parameters[0]}")


def resize_case(dtype: str, kind: str, size: list[int], corners: bool, half: bool) -> Case:
    net = Net(dtype)
    x, y = net.feed((1, 4, 3, 2)), net.give((1, *size, 2), parameters=IN)
    options = "ResizeBilinearOptions" if kind == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    net.op(kind, [x, net.constant("size", size)], [y], options, AlignCorners=corners, HalfPixelCenters=half)
    return net.case(f"{kind.lower()}-{size}-{corners}-{half}")


def move_case(
    dtype: str,
    kind: str,
    before: Shape,
    after: Shape,
    constants: Sequence[Any] = (),
    options: str = "",
    label: str = "",
    **fields: Any,
) -> Case:
    """One input, constant int32 operands behind it, one output of the same quantization."""
    net = Net(dtype)
    x = net.feed(before)
    operands = [net.constant(f"c{i}", values) for i, values in enumerate(constants)]
    y = net.give(after, parameters=IN)
    net.op(kind, [x, *operands], [y], options, **fields)
    return net.case(kind.lower() + label, 0)


def move_cases(dtype: str) -> Iterator[Case]:
    move: Callable[..., Case] = lambda *arguments, **fields: move_case(dtype, *arguments, **fields)  # noqa: E731
    yield move("RESHAPE", (2, 3, 4), (4, 6), [[4, 6]], "ReshapeOptions", NewShape=[4, 6])
    yield move("RESHAPE", (2, 3, 4), (2, 12), [[2, -1]], label="-open")
    yield move("SQUEEZE", (2, 1, 3, 1), (2, 3, 1), [], "SqueezeOptions", SqueezeDims=[1])
    yield move("EXPAND_DIMS", (2, 3), (2, 1, 3), [1])
    yield move("TRANSPOSE", (2, 3, 4), (4, 2, 3), [[2, 0, 1]])
    yield move("GATHER", (4, 3), (2, 3), [[3, 1]], "GatherOptions", Axis=0)
    yield move("GATHER", (4, 3), (4, 2, 2), [[[2, 1], [0, 0]]], "GatherOptions", Axis=1, label="-matrix")
    yield move("GATHER_ND", (4, 3, 2), (2, 2), [[[3, 1], [0, 2]]])
    yield move("SLICE", (4, 5), (2, 4), [[1, 1], [2, -1]])
    yield move("REVERSE_V2", (4, 5), (4, 5), [[1]])
    yield move("TILE", (2, 3), (4, 9), [[2, 3]])
    yield move("BROADCAST_TO", (1, 3), (4, 3), [[4, 3]])
    yield move("PAD", (1, 3, 4, 2), (1, 6, 5, 2), [[[0, 0], [1, 2], [0, 1], [0, 0]]])
    yield move("MIRROR_PAD", (3, 4), (6, 6), [[[1, 2], [0, 2]]], "MirrorPadOptions", Mode=0, label="-reflect")
    yield move(
        "MIRROR_PAD", (3, 4), (6, 6), [[[1, 2], [0, 2]]], "MirrorPadOptions", Mode=1, label="-symmetric"
    )
    yield move("SPACE_TO_DEPTH", (1, 4, 6, 3), (1, 2, 3, 12), [], "SpaceToDepthOptions", BlockSize=2)
    yield move("DEPTH_TO_SPACE", (1, 2, 3, 12), (1, 4, 6, 3), [], "DepthToSpaceOptions", BlockSize=2)
    yield move("SPACE_TO_BATCH_ND", (1, 4, 5, 2), (4, 3, 3, 2), [[2, 2], [[1, 1], [0, 1]]])
    yield move("BATCH_TO_SPACE_ND", (4, 3, 3, 2), (1, 4, 5, 2), [[2, 2], [[1, 1], [0, 1]]])
    strided: dict[str, int] = {
        "BeginMask": 0,
        "EndMask": 0,
        "EllipsisMask": 0,
        "NewAxisMask": 0,
        "ShrinkAxisMask": 0,
    }
    for label, after, ranges, masks in (
        ("-steps", (2, 2), [[0, 4], [3, 0], [2, -2]], {}),
        ("-masks", (2, 5), [[1, 1], [3, 2], [1, 1]], {"BeginMask": 2, "EndMask": 2}),
        ("-shrink", (5,), [[-1, 0], [0, 5], [1, 1]], {"ShrinkAxisMask": 1}),
        (
            "-new",
            (1, 4, 3),
            [[0, 0, 1], [0, 0, 4], [1, 1, 1]],
            {"NewAxisMask": 1, "BeginMask": 2, "EndMask": 2},
        ),
        ("-ellipsis", (4, 3), [[0, 1], [0, 4], [1, 1]], {"EllipsisMask": 1}),
        ("-backwards", (4, 5), [[0, 0], [0, 0], [-1, 1]], {"BeginMask": 3, "EndMask": 3}),
    ):
        yield move(
            "STRIDED_SLICE", (4, 5), after, ranges, "StridedSliceOptions", label=label, **(strided | masks)
        )


def structure_cases(dtype: str) -> Iterator[Case]:
    """Several inputs or several outputs."""
    net = Net(dtype)
    net.op(
        "CONCATENATION",
        [net.feed((2, 3)), net.feed((2, 1))],
        [net.give((2, 4), parameters=IN)],
        "ConcatenationOptions",
        Axis=-1,
    )
    yield net.case("concatenation", 0)
    net = Net(dtype)
    parts = [net.feed((2, 3)), net.feed((2, 3))]
    net.op("PACK", parts, [net.give((2, 2, 3), parameters=IN)], "PackOptions", Axis=1, ValuesCount=2)
    yield net.case("pack", 0)
    net = Net(dtype)
    x = net.feed((2, 3))
    outputs = [net.give((2,), parameters=IN) for _ in range(3)]
    net.op("UNPACK", [x], outputs, "UnpackOptions", Num=3, Axis=1)
    yield net.case("unpack", 0)
    net = Net(dtype)
    x, axis = net.feed((2, 6)), net.constant("axis", 1)
    outputs = [net.give((2, 2), parameters=IN) for _ in range(3)]
    net.op("SPLIT", [axis, x], outputs, "SplitOptions", NumSplits=3)
    yield net.case("split", 0)
    net = Net(dtype)
    x, sizes, axis = net.feed((2, 6)), net.constant("sizes", [1, 5]), net.constant("axis", 1)
    outputs = [net.give((2, 1), parameters=IN), net.give((2, 5), parameters=IN)]
    net.op("SPLIT_V", [x, sizes, axis], outputs, "SplitVOptions", NumSplits=2)
    yield net.case("split_v", 0)
    net = Net(dtype)
    values = [net.feed((3, 4)), net.feed((3, 4))]
    net.op("SELECT_V2", [net.feed((3, 4), "bool"), *values], [net.give((3, 4), parameters=IN)])
    yield net.case("select_v2", 0)
    net = Net(dtype)
    values = [net.feed((3, 4)), net.feed((3, 4))]
    net.op("SELECT", [net.feed((3,), "bool"), *values], [net.give((3, 4), parameters=IN)])
    yield net.case("select-rows", 0)
    for kind in ("MAXIMUM", "MINIMUM"):
        net = Net(dtype)
        net.op(kind, [net.feed((2, 3, 4)), net.feed((1, 4))], [net.give((2, 3, 4), parameters=IN)])
        yield net.case(kind.lower(), 0)
    net = Net(dtype)
    fill = net.constant("fill", 1.5 if dtype == "float32" else 9, dtype, () if dtype == "float32" else 0.05)
    if dtype != "float32":
        net.tensors[-1].zero_point = [IN[1]]
    padding = net.constant("padding", [[0, 0], [1, 2]])
    net.op("PADV2", [net.feed((2, 3)), padding, fill], [net.give((2, 6), parameters=IN)])
    yield net.case("padv2", 0)
    net = Net(dtype)
    alpha = net.weights("alpha", (1, 1, 4), 0)
    if dtype != "float32":
        net.tensors[-1].scale, net.tensors[-1].zero_point = [0.002], [0]
    net.op("PRELU", [net.feed((2, 3, 4)), alpha], [net.give((2, 3, 4))])
    yield net.case("prelu")
    for kind in ("ARG_MAX", "ARG_MIN"):
        net = Net(dtype)
        x, axis = net.feed((2, 5)), net.constant("axis", 1)
        # TensorType INT64 is 4
        net.op(
            kind,
            [x, axis],
            [net.give((2,), "int64")],
            f"{kind.title().replace('_', '')}Options",
            OutputType=4,
        )
        yield net.case(kind.lower(), 0)


def float_cases() -> Iterator[Case]:
    for kind in "ABS CEIL COS ELU EXP FLOOR HARD_SWISH LOG LOGISTIC NEG RELU RELU6 RELU_N1_TO_1".split():
        yield unary_case("float32", kind)
    for kind in "ROUND RSQRT SIGN SIN SQRT SQUARE TANH LOG_SOFTMAX RELU_0_TO_1".split():
        yield unary_case("float32", kind)
    yield unary_case("float32", "LEAKY_RELU", "LeakyReluOptions", Alpha=0.25)
    yield unary_case("float32", "GELU", "GeluOptions", Approximate=True)
    yield unary_case("float32", "GELU", "GeluOptions", Approximate=False)
    yield unary_case("float32", "SOFTMAX", "SoftmaxOptions", Beta=1.0)
    yield unary_case("float32", "SOFTMAX", "SoftmaxOptions", Beta=0.5)
    yield unary_case("float32", "L2_NORMALIZATION", "L2NormOptions", FusedActivationFunction=0)
    for kind in ("DIV", "POW", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"):
        yield binary_case("float32", kind)
    for kind in "EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL".split():
        yield binary_case("float32", kind, result="bool")
    for kind in ("LOGICAL_AND", "LOGICAL_OR"):
        yield binary_case("bool", kind)
    for kind in ("ADD", "SUB", "MUL", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM"):
        yield binary_case("int32", kind)
    yield unary_case("bool", "LOGICAL_NOT")
    yield reduce_case("float32", "REDUCE_PROD", [1, 3], False)
    yield reduce_case("bool", "REDUCE_ANY", [1], False)
    yield reduce_case("bool", "REDUCE_ALL", [1, 2], True)
    net = Net("float32")
    axis = net.constant("axis", 1)
    net.op(
        "CUMSUM", [net.feed((2, 5)), axis], [net.give((2, 5))], "CumsumOptions", Exclusive=True, Reverse=True
    )
    yield net.case("cumsum")
    net = Net("float32")
    k = net.constant("k", 3)
    net.op("TOPK_V2", [net.feed((2, 7)), k], [net.give((2, 3)), net.give((2, 3), "int32")])
    yield net.case("topk")
    net = Net("float32")
    # FLOAT32 is 0, INT32 is 2
    net.op(
        "CAST", [net.feed((2, 3))], [net.give((2, 3), "int32")], "CastOptions", InDataType=0, OutDataType=2
    )
    yield net.case("cast")
    net = Net("float32")
    half = net.constant("half", [[1.5, -2.0, 0.1]], "float16")
    net.tensor("full", (1, 3))
    net.op("DEQUANTIZE", [half], ["full"], "DequantizeOptions")
    net.op("ADD", [net.feed((2, 3)), "full"], [net.give((2, 3))], "AddOptions")
    yield net.case("half_constant")
    net = Net("float32")
    net.tensor("shape", (2,), "INT32")
    net.op("SHAPE", [net.feed((2, 3))], ["shape"], "ShapeOptions", OutType=2)
    net.op("CAST", ["shape"], [net.give((2,))], "CastOptions", InDataType=2, OutDataType=0)
    yield net.case("shape")


def quantized_cases(dtype: str) -> Iterator[Case]:
    """What 8-bit types have in common; results have the parameters that TFLite demands."""
    for kind, out in (("LOGISTIC", (1 / 256, -128)), ("TANH", (1 / 128, 0)), ("HARD_SWISH", OUT)):
        yield unary_case(dtype, kind, out=out)
    for kind in ("RELU", "RELU6", "RELU_N1_TO_1"):
        yield unary_case(dtype, kind)
    yield unary_case(dtype, "LEAKY_RELU", "LeakyReluOptions", Alpha=0.25)
    yield unary_case(dtype, "SOFTMAX", "SoftmaxOptions", out=(1 / 256, -128), Beta=1.0)
    yield unary_case(dtype, "QUANTIZE", "QuantizeOptions")


def int8_cases() -> Iterator[Case]:
    for kind in ("ABS", "ELU", "EXP", "LOG_SOFTMAX"):
        out = (16 / 256, 127) if kind == "LOG_SOFTMAX" else (1.0, -128) if kind == "EXP" else OUT
        yield unary_case("int8", kind, out=out)
    for kind in ("LOG", "SQRT", "RSQRT"):
        if kind != "SQRT":
            yield unary_case("int8", kind, parameters=(0.05, -128), out=(0.03, 0))
    yield binary_case("int8", "SQUARED_DIFFERENCE")
    for kind in "EQUAL GREATER LESS_EQUAL".split():
        yield binary_case("int8", kind, result="bool")
    net = Net("float32")
    y = net.give((2, 3), "int8")
    net.op("QUANTIZE", [net.feed((2, 3))], [y], "QuantizeOptions")
    yield net.case("quantize-from")
    net = Net("int8")
    net.op("DEQUANTIZE", [net.feed((2, 3))], [net.give((2, 3), "float32")], "DequantizeOptions")
    yield net.case("dequantize")


def common_cases(dtype: str) -> Iterator[Case]:
    """Operators for real numbers of any type."""
    for name in ("ADD", "SUB", "MUL"):
        for act in ACTIVATIONS:
            yield binary_case(dtype, name, f"{name.title()}Options", act=act)
        yield binary_case(dtype, name, f"{name.title()}Options", shape=(4,))
    for padding in (SAME, VALID):
        for stride in (1, 2):
            yield transpose_conv_case(dtype, padding, stride)
            yield pool_case(dtype, "AVERAGE_POOL_2D", padding, stride)
            yield pool_case(dtype, "MAX_POOL_2D", padding, stride)
    yield pool_case(dtype, "AVERAGE_POOL_2D", SAME, 2, "relu6")
    yield pool_case(dtype, "MAX_POOL_2D", SAME, 2, "relu")
    yield from conv_cases(dtype)
    for rank, act, bias, per_channel in (
        (2, "none", True, False),
        (3, "relu", True, False),
        (2, "none", False, False),
    ):
        yield fully_connected_case(dtype, rank, act, bias, per_channel)
    for left, right in ((False, False), (True, False), (False, True)):
        yield batch_matmul_case(dtype, left, right)
    for keep in (True, False):
        yield reduce_case(dtype, "MEAN", [1, 2], keep)
        yield reduce_case(dtype, "MEAN", [1, 2], keep, IN)
        yield reduce_case(dtype, "SUM", [1], keep, (0.3, 2))
        yield reduce_case(dtype, "REDUCE_MAX", [1, 2], keep, IN)
        yield reduce_case(dtype, "REDUCE_MIN", [3], keep, IN)
    for kind in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
        for corners, half in ((False, False), (True, False), (False, True)):
            for size in ([8, 6], [7, 5], [2, 2]):
                yield resize_case(dtype, kind, size, corners, half)
    yield from move_cases(dtype)
    yield from structure_cases(dtype)


def lstm_cases() -> Iterator[Case]:
    """Three steps of two inputs, four hidden units; time first or second, with and without peepholes."""
    generator = np.random.default_rng(3)
    for time_major, peepholes in ((False, False), (True, True)):
        net = Net("float32")
        x = net.feed((3, 2, 5) if time_major else (2, 3, 5))

        def weights(name: str, shape: Shape, net: Net = net) -> str:
            return net.constant(name, generator.uniform(-1, 1, shape), "float32")

        operands = [x, *(weights(f"w{gate}", (4, 5)) for gate in range(4))]
        operands += [weights(f"r{gate}", (4, 4)) for gate in range(4)]
        operands += [weights(f"p{gate}", (4,)) if peepholes else "" for gate in range(3)]
        operands += [*(weights(f"b{gate}", (4,)) for gate in range(4)), "", ""]
        operands += [net.tensor(name, (2, 4), variable=True) for name in ("hidden", "cell")]
        y = net.give((3, 2, 4) if time_major else (2, 3, 4))
        options = "UnidirectionalSequenceLSTMOptions"
        net.op(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [*operands, *[""] * 4],
            [y],
            options,
            FusedActivationFunction=4,
            TimeMajor=time_major,
        )
        yield net.case(f"lstm-{time_major}")


def all_cases() -> list[Case]:
    """Every case, by name."""
    return [
        *common_cases("float32"),
        *common_cases("int8"),
        *float_cases(),
        *quantized_cases("int8"),
        *quantized_cases("uint8"),
        *int8_cases(),
        *lstm_cases(),
        fully_connected_case("int8", 2, "none", True, True),
    ]
