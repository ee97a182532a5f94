"""Small quantized networks, one for each operator that can be written as TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecompile.core.model import Model
from tests.support.operators import normal
from tests.support.quantized import Array, QuantizedGraph, one_operator

X = normal(1, 8, 9, 9)
ROWS = normal(6, 24)
Network = Callable[[], Model]

NETWORKS: dict[str, Network] = {}


def _case(name: str, op_type: str, inputs: Sequence[Array], *arguments: Any, **attributes: Any) -> None:
    NETWORKS[name] = lambda: one_operator(op_type, inputs, "int8", *arguments, **attributes)


def _ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


_WIDE = normal(8, 8, 3, 3, seed=1)
_case("conv", "Conv", [X, _WIDE, normal(8)], {1: 0}, [2], "Relu", pads=[1, 1, 1, 1])
_case("conv per tensor", "Conv", [X, normal(4, 8, 1, 1, seed=1)], {1: None})
_case("conv with stride", "Conv", [X, _WIDE], {1: 0}, strides=[2, 2], pads=[1, 1, 1, 1])
_case("conv with uneven padding", "Conv", [X, _WIDE], {1: 0}, pads=[0, 2, 1, 0])
_case("conv with dilations", "Conv", [X, _WIDE], {1: 0}, dilations=[2, 2])
_case("conv along one axis", "Conv", [normal(1, 3, 30), normal(5, 3, 7, seed=1)], {1: 0}, pads=[3, 3])
_case("depthwise", "Conv", [X, normal(8, 1, 3, 3), normal(8)], {1: 0}, [2], group=8, pads=[1, 1, 1, 1])
_case("depthwise twice as deep", "Conv", [X, normal(16, 1, 3, 3)], {1: 0}, group=8)
_case("dense", "Gemm", [ROWS, normal(7, 24, seed=1), normal(7)], {1: 0}, [2], "Relu", transB=1)
_case("dense per tensor", "Gemm", [ROWS, normal(24, 7, seed=1), normal(7)], {1: None}, [2])
_case("rows", "MatMul", [normal(2, 5, 24), normal(24, 6, seed=1)], {1: 1})
_case("matmul", "MatMul", [normal(1, 3, 5, 8), normal(1, 3, 8, 6, seed=1)])
_case("add", "Add", [X, normal(1, 8, 9, 9, seed=1) * 3], activation="Relu")
_case("add of channels", "Add", [X, normal(8, 1, 1, seed=1)])
_case("add of constants", "Add", [X, normal(8, 1, 1, seed=1)], constants=[1])
_case("sub", "Sub", [X, normal(1, 8, 9, 9, seed=1)])
_case("mul", "Mul", [X, normal(1, 8, 9, 9, seed=1)])
_case("mul of channels", "Mul", [X, normal(1, 8, 1, 1, seed=1)])
_case("mul of a number", "Mul", [X, np.asarray(0.37, np.float32)], constants=[1])
_case("average", "AveragePool", [X], kernel_shape=[3, 3], strides=[2, 2])
_case("max", "MaxPool", [X], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
_case("max rounded up", "MaxPool", [X], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
_case("global average", "GlobalAveragePool", [X])
_case("mean of rows", "ReduceMean", [normal(1, 5, 24), _ints(1)], constants=[1], keepdims=0)
_case("mean of channels", "ReduceMean", [X, _ints(2, 3)], constants=[1], keepdims=0)
_case("softmax", "Softmax", [ROWS * 2])
_case("softmax of channels", "Softmax", [X * 2], axis=1)
_case("sigmoid", "Sigmoid", [ROWS * 2])
_case("tanh", "Tanh", [ROWS * 2])
_case("hard swish", "HardSwish", [ROWS * 3])
_case("hard sigmoid", "HardSigmoid", [X * 3])
_case("leaky relu", "LeakyRelu", [ROWS * 3], alpha=0.1)
_case("exponential", "Exp", [ROWS])
_case("elu", "Elu", [ROWS * 2])
_case("magnitude", "Abs", [ROWS])
_case("logarithm", "Log", [np.abs(ROWS) + 0.1])
_case("clip", "Clip", [ROWS * 9, np.asarray(0, np.float32), np.asarray(6, np.float32)], constants=[1, 2])
_case(
    "clip anywhere",
    "Clip",
    [ROWS, np.asarray(-0.7, np.float32), np.asarray(0.3, np.float32)],
    constants=[1, 2],
)
_case("relu", "Relu", [ROWS])


@lambda define: NETWORKS.setdefault("clip of a wider range", define)
def _clip() -> Model:
    """Integers beyond 0 and 6 exist."""
    graph = QuantizedGraph()
    bounds = [graph.constant(np.asarray(bound, np.float32)) for bound in (0, 6)]
    return graph.model(graph.quantized(graph.node("Clip", [graph.input(ROWS * 9), *bounds]), ROWS * 9))


@lambda define: NETWORKS.setdefault("moves", define)
def _moves() -> Model:
    """Slice, transpose, pad, reshape, concatenate, repeat."""
    graph = QuantizedGraph()
    x = graph.input(X)
    like = X
    places = [graph.constant(_ints(*numbers)) for numbers in ((0, 1), (9, 9), (1, 2), (2, 2))]
    part = graph.quantized(graph.node("Slice", [x, *places]), like)
    turned = graph.quantized(graph.node("Transpose", [part], perm=[0, 1, 3, 2]), like)
    zero = graph.constant(np.asarray(0, np.float32))
    padded = graph.quantized(
        graph.node("Pad", [turned, graph.constant(_ints(0, 2, 0, 0, 0, 0, 0, 1)), zero]), like
    )
    both = graph.quantized(graph.node("Concat", [padded, padded], axis=1), like)
    scales = [graph.constant(np.array([1, 1, 2, 2], np.float32))]
    larger = graph.node(
        "Resize", [both, "", *scales], coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    flat = graph.node("Reshape", [graph.quantized(larger, like), graph.constant(_ints(20, -1))])
    return graph.model(graph.quantized(flat, like))


@lambda define: NETWORKS.setdefault("two inputs and outputs", define)
def _several() -> Model:
    """A sum and a difference of the same two inputs."""
    graph = QuantizedGraph()
    a, b = graph.input(X), graph.input(normal(1, 8, 9, 9, seed=1) * 2)
    return graph.model(*(graph.quantized(graph.node(kind, [a, b])) for kind in ("Add", "Sub")))
