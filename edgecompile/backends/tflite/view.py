"""What the writer of one operator sees of its node, and how it says what TensorFlow Lite shall compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.backends.tflite.registry import NotExpressible
from edgecompile.core.model import tensor_info
from edgecompile.frontend.tflite.schema import Array, Operator, Quantization, Shape, Tensor
from edgecompile.passes.edit import constant_of, static_shape

# Fused activation functions by number, with their bounds.
ACTIVATIONS: dict[str, tuple[int, float, float]] = {
    "NONE": (0, -math.inf, math.inf),
    "RELU": (1, 0.0, math.inf),
    "RELU6": (3, 0.0, 6.0),
    "RELU_N1_TO_1": (2, -1.0, 1.0),
}


class GraphWriter:
    """Collects tensors and operators; `places` holds the index of every value's tensor."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.places: dict[ir.Value, int] = {}

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        quantization: Quantization | None,
        data: Array | None = None,
    ) -> int:
        """A new tensor; its index."""
        index = len(self.tensors)
        kind = np.dtype(dtype).name.upper()
        self.tensors.append(
            Tensor(index, name, tuple(shape), kind, dtype, data=data, quantization=quantization)
        )
        return index

    def place_of(self, value: ir.Value) -> int:
        """The tensor of `value`: known already, a constant, or an input of the network."""
        if value not in self.places:
            info = tensor_info(value)
            data = constant_of(value)
            name = str(value.name)
            self.places[value] = self.tensor(name, info.shape, info.dtype, quantization_of(value), data)
        return self.places[value]

    def bind(self, value: ir.Value, index: int) -> None:
        """From now on tensor `index` is `value`, and bears its name."""
        self.tensors[index] = replace(self.tensors[index], name=str(value.name))
        self.places[value] = index


def quantization_of(value: ir.Value) -> Quantization | None:
    """What the graph says of the integers in `value`."""
    info = tensor_info(value)
    if info.scale is None or info.zero_point is None:
        return None
    return Quantization((info.scale,), (info.zero_point,))


class NodeView:
    """One node of the integer graph."""

    def __init__(self, writer: GraphWriter, node: ir.Node) -> None:
        self._writer, self.node = writer, node
        self.name = str(node.name or node.outputs[0].name)

    def has(self, index: int) -> bool:
        """Whether optional input `index` is there."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def value(self, index: int) -> ir.Value:
        value = self.node.inputs[index]
        assert value is not None
        return value

    def array(self, index: int) -> Array:
        """Constant input `index`; NotExpressible when it is computed."""
        array = constant_of(self.value(index))
        if array is None:
            raise NotExpressible(f"its input '{self.value(index).name}' is not constant")
        return array

    def integers(self, index: int) -> Shape:
        """Constant input `index` as a tuple of integers."""
        return tuple(int(number) for number in self.array(index).ravel())

    def input(self, index: int) -> int:
        """The tensor of input `index`."""
        return self._writer.place_of(self.value(index))

    def tensor(self, index: int) -> Tensor:
        """A tensor by its own index."""
        return self._writer.tensors[index]

    def quantization(self, index: int) -> Quantization:
        """Of input `index`, which must be quantized."""
        found = self.tensor(self.input(index)).quantization
        if found is None:
            raise NotExpressible(f"the scale of its input '{self.value(index).name}' is not known")
        return found

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        shape = static_shape(self.node.outputs[0])
        assert shape is not None
        return shape

    @property
    def result(self) -> Quantization | None:
        """How the result is quantized."""
        return quantization_of(self.node.outputs[0])

    def option(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.value

    def constant(self, values: Any, dtype: str, label: str, quantization: Quantization | None = None) -> int:
        """A constant tensor of our own making."""
        data = np.ascontiguousarray(np.asarray(values, dtype))
        shape = np.asarray(values).shape
        return self._writer.tensor(f"{self.name}/{label}", shape, dtype, quantization, data.reshape(shape))

    def emit(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        quantization: Quantization | None = None,
        dtype: str = "int8",
        **options: Any,
    ) -> int:
        """One operator with one output, which is quantized as its first input unless told otherwise."""
        quantization = quantization or (self.tensor(inputs[0]).quantization if dtype == "int8" else None)
        index = self._writer.tensor(f"{self.name}/{kind}", shape, dtype, quantization)
        self._writer.operators.append(Operator(kind, tuple(inputs), (index,), options))
        return index

    def emit_clamped(self, kind: str, inputs: Sequence[int], shape: Sequence[int], **options: Any) -> int:
        """`emit`, ending in the node's clamp: by a fused activation function, or by operators behind it."""
        name = self.activation()
        number = ACTIVATIONS[name or "NONE"][0]
        index = self.emit(kind, inputs, shape, self.result, FusedActivationFunction=number, **options)
        return index if name is not None else self.clamp(index)

    def activation(self) -> str | None:
        """The activation function that clamps to the node's [lo, hi]."""
        quantization, wanted = self.result, (self.option("lo", -128), self.option("hi", 127))
        if quantization is None:
            raise NotExpressible("the scale of its result is not known")
        for name, (_, low, high) in ACTIVATIONS.items():
            if wanted == (_clamp(quantization, low), _clamp(quantization, high)):
                return name
        return None

    def clamp(self, index: int) -> int:
        """Tensor `index` between the node's lo and hi."""
        tensor = self.tensor(index)
        for kind, label, none in (("MAXIMUM", "lo", -128), ("MINIMUM", "hi", 127)):
            bound = self.option(label, none)
            if bound != none:
                limit = self.constant([bound], "int8", label, tensor.quantization)
                index = self.emit(kind, [index, limit], tensor.shape)
        return index

    def transpose(self, index: int, perm: Sequence[int]) -> int:
        """Axes of a tensor in another order."""
        shape = self.tensor(index).shape
        order = self.constant(perm, "int32", "perm")
        return self.emit("TRANSPOSE", [index, order], [shape[axis] for axis in perm])

    def reshape(self, index: int, shape: Sequence[int]) -> int:
        """A tensor under another shape."""
        if self.tensor(index).shape == tuple(shape):
            return index
        target = self.constant(shape, "int32", "shape")
        return self.emit("RESHAPE", [index, target], shape, NewShape=tuple(shape))

    def finish(self, index: int) -> None:
        """Tensor `index` is the node's result."""
        if index in self._writer.places.values():  # nothing was computed
            shape = self.tensor(index).shape
            index = self.emit(
                "RESHAPE", [index, self.constant(shape, "int32", "shape")], shape, NewShape=shape
            )
        self._writer.bind(self.node.outputs[0], index)


def _clamp(quantization: Quantization, real: float) -> int:
    """The integer at which TFLite's kernels clamp: halves away from zero, in float32."""
    if math.isinf(real):
        return 127 if real > 0 else -128
    ratio = float(np.float32(real) / np.float32(quantization.scale[0]))
    whole = quantization.zero_point[0] + math.floor(abs(ratio) + 0.5) * int(math.copysign(1, ratio))
    return min(127, max(-128, whole))
