"""Small networks with seeded weights, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21


def _weights(seed: int, **shapes: tuple[int, ...]) -> list[onnx.TensorProto]:
    rng = np.random.default_rng(seed)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) * 0.3 for name, shape in shapes.items()}
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    initializers: list[onnx.TensorProto],
) -> onnx.ModelProto:
    def describe(values: dict[str, list[Any]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in values.items()]

    graph = helper.make_graph(nodes, "test", describe(inputs), describe(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def small_cnn() -> onnx.ModelProto:
    """Conv, batch norm, residual add, depthwise, pool, dense, softmax: [1, 3, 12, 12] -> [1, 10]."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c1", "s", "b", "m", "v"], ["n1"], "stem_bn"),
        helper.make_node("Relu", ["n1"], ["r1"], "stem_relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "depthwise", pads=[1, 1, 1, 1], group=8),
        helper.make_node("Conv", ["c2", "w3", "b3"], ["c3"], "pointwise"),
        helper.make_node("Add", ["c3", "r1"], ["a1"], "residual"),
        helper.make_node("Relu", ["a1"], ["r2"], "block_relu"),
        helper.make_node("GlobalAveragePool", ["r2"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w4", "b4"], ["l"], "classifier", transB=1),
        helper.make_node("Softmax", ["l"], ["prob"], "softmax"),
    ]
    kernels: dict[str, tuple[int, ...]] = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1)}
    weights = _weights(1, **kernels, b3=(8,), w4=(10, 8), b4=(10,), s=(8,), b=(8,), m=(8,))
    variance = numpy_helper.from_array(np.linspace(0.5, 2, 8, dtype=np.float32), "v")
    return _model(nodes, {"x": [1, 3, 12, 12]}, {"prob": [1, 10]}, [*weights, variance])


def stateful_lstm() -> onnx.ModelProto:
    """One LSTM with its state as inputs and outputs: x [4, 1, 6], h, c [1, 1, 5] -> y, h_out, c_out."""
    names, results = ["x", "w", "r", "b", "", "h", "c"], ["y", "h_out", "c_out"]
    nodes = [helper.make_node("LSTM", names, results, "lstm", hidden_size=5)]
    weights = _weights(2, w=(1, 20, 6), r=(1, 20, 5), b=(1, 40))
    state: list[Any] = [1, 1, 5]
    inputs = {"x": [4, 1, 6], "h": state, "c": state}
    return _model(nodes, inputs, {"y": [4, 1, 1, 5], "h_out": state, "c_out": state}, weights)


def wide_chain(rows: int = 48) -> onnx.ModelProto:
    """Matrix product, elementwise steps and softmax over many rows: [1, rows, 40] -> [1, rows, 56]."""
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["scaled"], "scale"),
        helper.make_node("Transpose", ["scaled"], ["turned"], "turn", perm=[0, 2, 1]),
        helper.make_node("Transpose", ["turned"], ["back"], "back", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["back", "w"], ["product"], "product"),
        helper.make_node("Tanh", ["product"], ["bent"], "bend"),
        helper.make_node("Softmax", ["bent"], ["chances"], "softmax", axis=1),
        helper.make_node("Sqrt", ["chances"], ["y"], "root"),
    ]
    weights = _weights(3, scale=(rows, 1), w=(40, 56))
    return _model(nodes, {"x": [1, rows, 40]}, {"y": [1, rows, 56]}, weights)


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write `model` to `path` and return it."""
    path.write_bytes(model.SerializeToString())
    return path
