"""Single layers as small networks: what is tuned besides whole networks, and what searches are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET, _IR_VERSION = 21, 10


@dataclass(frozen=True)
class Layer:
    """One layer with constant weights, and what is fused into it.

    "conv" takes [1, inputs, size, size] with equal padding. "depthwise" takes [1, size, size, inputs], as
    between convolutions, and has as many outputs. "dense" takes [1, inputs], and "matmul" [1, size, inputs].
    `residual` adds a projection of the input to the result of a convolution, as in a ResNet.
    """

    operator: Literal["conv", "depthwise", "dense", "matmul"]
    inputs: int
    outputs: int = 0
    size: int = 1
    kernel: int = 1
    stride: int = 1
    activation: Literal["", "relu", "relu6"] = ""
    residual: bool = False

    @property
    def name(self) -> str:
        """A word for people, also for the names in the graph."""
        outputs = self.outputs or self.inputs
        words = [self.operator, f"{self.kernel}x{self.kernel}" if self._is_image else "", self.activation]
        sizes = f"{self.size}_{self.inputs}_{outputs}"
        ends = [f"stride{self.stride}" if self.stride > 1 else "", "add" if self.residual else ""]
        return "_".join(word for word in [*words, sizes, *ends] if word)

    @property
    def _is_image(self) -> bool:
        return self.operator in ("conv", "depthwise")

    @property
    def input_shape(self) -> list[int]:
        """The shape of what is not constant."""
        if self._is_image:
            return self._image(self.inputs, self.size)
        return [1, self.inputs] if self.operator == "dense" else [1, self.size, self.inputs]

    @property
    def output_shape(self) -> list[int]:
        """The shape of the result."""
        if self._is_image:
            edge = (self.size + 2 * (self.kernel // 2) - self.kernel) // self.stride + 1
            return self._image(self.outputs or self.inputs, edge)
        return [*self.input_shape[:-1], self.outputs]

    def _image(self, channels: int, edge: int) -> list[int]:
        return [1, edge, edge, channels] if self.operator == "depthwise" else [1, channels, edge, edge]


def save_layers(layers: Sequence[Layer], path: Path) -> Path:
    """Write one ONNX file with all `layers` side by side, each with inputs and a result of its own."""
    chance = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    for layer in layers:
        _add(layer, nodes, weights, chance)
    inputs = [_value(f"{layer.name}_x", layer.input_shape) for layer in layers]
    outputs = [_value(f"{layer.name}_y", layer.output_shape) for layer in layers]
    graph = helper.make_graph(nodes, "layers", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    path.write_bytes(model.SerializeToString())
    return path


def _add(
    layer: Layer, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], chance: np.random.Generator
) -> None:
    """The nodes and the constants of one layer."""
    name = layer.name
    outputs = layer.outputs or layer.inputs

    def constant(suffix: str, *shape: int) -> str:
        array = chance.standard_normal(shape).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"{name}_{suffix}"))
        return f"{name}_{suffix}"

    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if layer.operator in ("conv", "depthwise"):
        groups = layer.inputs if layer.operator == "depthwise" else 1
        shape = (outputs, layer.inputs // groups, layer.kernel, layer.kernel)
        operands = [constant("w", *shape), constant("b", outputs)]
        pads, strides = [layer.kernel // 2] * 4, [layer.stride] * 2
        window: dict[str, Any] = {
            "group": groups,
            "kernel_shape": [layer.kernel] * 2,
            "pads": pads,
            "strides": strides,
        }
        steps.append(("Conv", operands, window))
        if layer.operator == "depthwise":
            steps.insert(0, ("Transpose", [], {"perm": [0, 3, 1, 2]}))
    elif layer.operator == "dense":
        steps.append(("Gemm", [constant("w", outputs, layer.inputs), constant("b", outputs)], {"transB": 1}))
    else:
        steps.append(("MatMul", [constant("w", layer.inputs, outputs)], {}))
        steps.append(("Add", [constant("b", outputs)], {}))
    if layer.residual:
        operands = [f"{name}_x", constant("projection", outputs, layer.inputs, 1, 1)]
        projection: dict[str, Any] = {"kernel_shape": [1, 1], "strides": [layer.stride] * 2}
        nodes.append(helper.make_node("Conv", operands, [f"{name}_more"], f"{name}_projection", **projection))
        steps.append(("Add", [f"{name}_more"], {}))
    if layer.activation == "relu":
        steps.append(("Relu", [], {}))
    elif layer.activation == "relu6":
        bounds = [
            numpy_helper.from_array(np.array(v, np.float32), f"{name}_{k}") for k, v in (("lo", 0), ("hi", 6))
        ]
        weights += bounds
        steps.append(("Clip", [bound.name for bound in bounds], {}))
    if layer.operator == "depthwise":
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
    value = f"{name}_x"
    for place, (operator, operands, attributes) in enumerate(steps):
        result = f"{name}_y" if place == len(steps) - 1 else f"{name}_{place}"
        node = helper.make_node(operator, [value, *operands], [result], f"{name}_{place}", **attributes)
        nodes.append(node)
        value = result


def _value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
