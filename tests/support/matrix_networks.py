"""Networks of matrix products, and samples whose inputs vary together as those of real ones do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


def perceptron(inputs: int = 256, hidden: int = 1024, opset: int = 21) -> onnx.ModelProto:
    """Two dense layers, x [1, inputs] -> y [1, inputs]; columns of the first are of unlike size."""
    generator = np.random.default_rng(1)
    sizes = np.exp(0.3 * generator.standard_normal((1, hidden)))
    weights = {
        "w1": generator.standard_normal((inputs, hidden)) * sizes / np.sqrt(inputs),
        "w2": generator.standard_normal((hidden, inputs)) / np.sqrt(hidden),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "w2"], ["y"], "second"),
    ]
    return _model(nodes, [1, inputs], weights, opset)


def correlated(inputs: int, count: int, seed: int, mixing_seed: int = 2) -> Array:
    """`count` rows [count, inputs] that mix independent sources, some of them far stronger than others."""
    mixing = np.random.default_rng(mixing_seed)
    strengths = np.exp(1.2 * mixing.standard_normal((inputs, 1)))
    mix = mixing.standard_normal((inputs, inputs)) * strengths / 8
    rows = np.random.default_rng(seed).standard_normal((count, inputs)) @ mix
    return np.asarray(rows, np.float32)


def transformer(
    width: int = 64, layers: int = 2, tokens: int = 16, heads: int = 4, seed: int = 3
) -> onnx.ModelProto:
    """Attention and dense layers between residual sums: x [1, tokens, width] -> y alike.

    The normalizations have gains of unlike size, by which some channels are outliers.
    """
    builder = _Transformer(width, tokens, heads, seed)
    value = "x"
    for layer in range(layers):
        value = builder.attention(value, f"layer{layer}")
        value = builder.dense(value, f"layer{layer}")
    builder.nodes.append(helper.make_node("Identity", [value], ["y"], "output"))
    return _model(builder.nodes, [1, tokens, width], builder.constants, 21)


class _Transformer:
    def __init__(self, width: int, tokens: int, heads: int, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self._generator = np.random.default_rng(seed)
        self._width, self._tokens, self._heads = width, tokens, heads

    def attention(self, value: str, name: str) -> str:
        normal = self._normalized(value, f"{name}/n1")
        shape, back = (
            [1, self._tokens, self._heads, self._width // self._heads],
            [1, self._tokens, self._width],
        )
        heads = {
            role: self._node(
                "Transpose",
                [self._reshaped(self._linear(normal, f"{name}/{role}", self._width, self._width), shape)],
                f"{name}/{role}/heads",
                perm=[0, 2, 3, 1] if role == "key" else [0, 2, 1, 3],
            )
            for role in ("query", "key", "value")
        }
        scores = self._node("MatMul", [heads["query"], heads["key"]], f"{name}/scores")
        chances = self._node("Softmax", [scores], f"{name}/chances", axis=-1)
        mixed = self._node("MatMul", [chances, heads["value"]], f"{name}/mixed")
        joined = self._node("Transpose", [mixed], f"{name}/joined", perm=[0, 2, 1, 3])
        result = self._linear(self._reshaped(joined, back), f"{name}/project", self._width, self._width)
        return self._node("Add", [value, result], f"{name}/attended")

    def dense(self, value: str, name: str) -> str:
        normal = self._normalized(value, f"{name}/n2")
        wide = self._linear(normal, f"{name}/up", self._width, 4 * self._width)
        bent = self._node("Gelu", [wide], f"{name}/gelu")
        result = self._linear(bent, f"{name}/down", 4 * self._width, self._width)
        return self._node("Add", [value, result], f"{name}/done")

    def _normalized(self, value: str, name: str) -> str:
        gain = np.exp(0.8 * self._generator.standard_normal(self._width))
        bias = 0.1 * self._generator.standard_normal(self._width)
        constants = [self._constant(f"{name}/gain", gain), self._constant(f"{name}/bias", bias)]
        return self._node("LayerNormalization", [value, *constants], name)

    def _linear(self, value: str, name: str, inputs: int, outputs: int) -> str:
        weights = self._generator.standard_normal((inputs, outputs)) / np.sqrt(inputs)
        product = self._node("MatMul", [value, self._constant(f"{name}/weight", weights)], name)
        bias = self._constant(f"{name}/bias", 0.1 * self._generator.standard_normal(outputs))
        return self._node("Add", [product, bias], f"{name}/sum")

    def _reshaped(self, value: str, shape: list[int]) -> str:
        return self._node("Reshape", [value, self._constant(f"{value}/shape", np.array(shape))], f"{value}/r")

    def _constant(self, name: str, array: Array) -> str:
        self.constants[name] = array
        return name

    def _node(self, op_type: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [f"{name}:0"], name, **attributes))
        return f"{name}:0"


def _model(
    nodes: list[onnx.NodeProto], shape: list[int], constants: Mapping[str, Array], opset: int
) -> onnx.ModelProto:
    tensors = [
        numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name)
        for name, array in constants.items()
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph(nodes, "test", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def decibels(exact: Array, approximate: Array) -> float:
    """The power of `exact` over that of the difference, in dB."""
    return float(10 * np.log10((exact**2).sum() / ((exact - approximate) ** 2).sum()))
