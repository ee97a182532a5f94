"""A small transformer encoder as ONNX, with a few wide channels behind normalizations, as in trained ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompile.passes.edit import Array

TOKENS, WIDTH, HEADS = 12, 32, 4
# So many channels behind each normalization are so much wider than the others.
_WIDE, _OUTLIERS = 40.0, 3
# Weights that read a wide channel are narrower by its width to this power.
_NARROWED = 0.7


class _Encoder:
    """Nodes and constants, as they are added."""

    def __init__(self, seed: int, normalization: str) -> None:
        self.random = np.random.default_rng(seed)
        self.normalization = normalization
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: Array) -> str:
        dtype = np.int64 if array.dtype.kind == "i" else np.float32
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def node(self, op_type: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, list(inputs), [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def linear(self, name: str, x: str, inputs: int, outputs: int, rows: Array | float = 1.0) -> str:
        """x @ w + b, the rows of w multiplied by `rows`."""
        weights = self.random.standard_normal((inputs, outputs)) / math.sqrt(inputs)
        product = self.node("MatMul", name, x, self.constant(f"{name}.weight", (weights.T * rows).T))
        bias = self.constant(f"{name}.bias", self.random.standard_normal(outputs) * 0.1)
        return self.node("Add", f"{name}/bias", product, bias)

    def normalized(self, name: str, x: str) -> tuple[str, Array]:
        """The normalization of `x`, and what the weights that read it are to be multiplied by."""
        width = 1 + 0.2 * self.random.random(WIDTH)
        width[self.random.choice(WIDTH, _OUTLIERS, replace=False)] *= _WIDE
        vectors = [self.constant(f"{name}.gain", width)]
        if self.normalization == "LayerNormalization":
            vectors.append(self.constant(f"{name}.bias", width * self.random.standard_normal(WIDTH) * 0.1))
        return self.node(self.normalization, name, x, *vectors, axis=-1, epsilon=1e-5), width**-_NARROWED

    def heads(self, name: str, x: str, order: list[int]) -> str:
        split = self.node("Reshape", f"{name}/split", x, "split")
        return self.node("Transpose", f"{name}/heads", split, perm=order)

    def attention(self, name: str, x: str) -> str:
        y, rows = self.normalized(f"{name}/norm", x)
        q, k, v = (self.linear(f"{name}/{part}", y, WIDTH, WIDTH, rows) for part in "qkv")
        scores = self.node(
            "MatMul",
            f"{name}/scores",
            self.heads(f"{name}/q", q, [0, 2, 1, 3]),
            self.heads(f"{name}/k", k, [0, 2, 3, 1]),
        )
        chances = self.node("Softmax", f"{name}/softmax", self.node("Mul", f"{name}/scale", scores, "scale"))
        mixed = self.node("MatMul", f"{name}/mix", chances, self.heads(f"{name}/v", v, [0, 2, 1, 3]))
        turned = self.node("Transpose", f"{name}/turn", mixed, perm=[0, 2, 1, 3])
        joined = self.node("Reshape", f"{name}/join", turned, "join")
        return self.node("Add", f"{name}/residual", x, self.linear(f"{name}/out", joined, WIDTH, WIDTH))

    def feed_forward(self, name: str, x: str) -> str:
        y, rows = self.normalized(f"{name}/norm", x)
        wide = self.node("Gelu", f"{name}/gelu", self.linear(f"{name}/up", y, WIDTH, 2 * WIDTH, rows))
        return self.node("Add", f"{name}/residual", x, self.linear(f"{name}/down", wide, 2 * WIDTH, WIDTH))


def encoder(blocks: int = 2, normalization: str = "LayerNormalization", seed: int = 0) -> onnx.ModelProto:
    """Attention and feed-forward blocks and a linear head: x [1, 12, 32] -> y [1, 12, 10]."""
    net = _Encoder(seed, normalization)
    net.constant("split", np.array([1, TOKENS, HEADS, WIDTH // HEADS]))
    net.constant("join", np.array([1, TOKENS, WIDTH]))
    net.constant("scale", np.array((WIDTH / HEADS) ** -0.5))
    x = "x"
    for block in range(blocks):
        x = net.feed_forward(f"{block}/mlp", net.attention(f"{block}/attention", x))
    last, rows = net.normalized("norm", x)
    net.nodes.append(helper.make_node("Identity", [net.linear("head", last, WIDTH, 10, rows)], ["y"]))
    graph = helper.make_graph(
        net.nodes,
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, TOKENS, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, TOKENS, 10])],
        net.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
