"""A network with a kernel for each kind of design space."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def all_spaces() -> onnx.ModelProto:
    """Two convolutions, one of them depthwise, pool, transposition, product of activations, softmax, sum."""
    chance = np.random.default_rng(0)
    weights = {
        "w1": chance.standard_normal((16, 3, 3, 3)) / 5,
        "w2": chance.standard_normal((16, 1, 3, 3)) / 3,
        "b": chance.standard_normal((1, 1, 144)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "depthwise", pads=[1, 1, 1, 1], group=16),
        helper.make_node("MaxPool", ["c2"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["p", "shape"], ["t"], "rows"),
        helper.make_node("Add", ["t", "b"], ["s"], "sum"),
        helper.make_node("Transpose", ["s"], ["u"], "turned", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["u", "t"], ["m"], "product"),
        helper.make_node("Softmax", ["m"], ["y"], "softmax"),
    ]
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    constants.append(numpy_helper.from_array(np.array([1, 16, 144], np.int64), "shape"))
    graph = helper.make_graph(
        nodes,
        "all_spaces",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 24, 24])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 144, 144])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
