"""Two layers of which everything is known: what is to be scored is what lies between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompile.core.model import Model, Provenance
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.groups import Group

Array = np.ndarray[Any, Any]


def network(
    nodes: list[onnx.NodeProto], shapes: dict[str, list[int]], output: str, **weights: Array
) -> Model:
    """The network of `nodes` with inputs of these shapes, all types inferred."""
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    constants = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    return FoldConstants()(Model.from_bytes(inferred.SerializeToString(), Provenance("t", "", 21))).model


def dense(first: Array, bias: Array, second: Array) -> Model:
    """y = relu(x first + bias) second, with x [1, K]."""
    nodes = [
        helper.make_node("Gemm", ["x", "first", "bias"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "second"], ["y"], "second"),
    ]
    return network(nodes, {"x": [1, len(first)]}, "y", first=first, bias=bias, second=second)


def convolutions(first: Array, bias: Array, second: Array, size: int = 6) -> Model:
    """y = conv(relu(conv(x, first) + bias), second) without padding, with x [1, C, size, size]."""
    nodes = [
        helper.make_node("Conv", ["x", "first", "bias"], ["a"], "first", kernel_shape=first.shape[2:]),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "second"], ["y"], "second", kernel_shape=second.shape[2:]),
    ]
    shape = [1, first.shape[1], size, size]
    return network(nodes, {"x": shape}, "y", first=first, bias=bias, second=second)


def inner_group(model: Model) -> Group:
    """The only group that can be cut."""
    (group,) = (group for group in analyse(model).groups if not group.frozen)
    return group


def noise(model: Model, count: int = 24, seed: int = 0) -> list[dict[str, Array]]:
    """Samples of normal numbers."""
    generator = np.random.default_rng(seed)
    return [
        {info.name: generator.standard_normal(info.shape).astype(np.float32) for info in model.inputs}
        for _ in range(count)
    ]
