"""What a translation sees of one TFLite operator, and how it says what the operator computes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.errors import InputError, Problem, UnsupportedError
from edgecompile.frontend.tflite.graph import QUANTIZED, GraphBuilder
from edgecompile.frontend.tflite.schema import Array, Operator, Quantization, Shape, Tensor

# Fused activation functions by number: the ONNX operator and its bounds, if it only clamps.
_ACTIVATIONS: dict[int, tuple[str, tuple[float, float] | None]] = {
    1: ("Relu", (0.0, math.inf)),
    2: ("Clip", (-1.0, 1.0)),
    3: ("Clip", (0.0, 6.0)),
    4: ("Tanh", None),
}


def _clamps(tensor: Tensor, low: float, high: float) -> bool:
    """Whether no integer of `tensor` stands for a real number outside of [low, high], up to half a step."""
    if tensor.quantization is None or tensor.dtype not in QUANTIZED:
        return False
    limits, scale = np.iinfo(tensor.dtype), tensor.quantization.scale[0]
    least, greatest = ((limit - tensor.quantization.zero_point[0]) for limit in (limits.min, limits.max))
    return least >= round(low / scale) and (math.isinf(high) or greatest <= round(high / scale))


class OperatorView:
    """What a translation sees of one operator, and how it says what the operator computes."""

    def __init__(self, builder: GraphBuilder, operator: Operator) -> None:
        self._builder = builder
        self._operator = operator
        tensors = builder.network.tensors
        self.kind = operator.name
        self.inputs = tuple(tensors[index] if index >= 0 else None for index in operator.inputs)
        self.outputs = tuple(tensors[index] for index in operator.outputs)
        self.name = self.outputs[0].layer if self.outputs else operator.name

    def has(self, index: int) -> bool:
        """Whether optional input `index` is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: int) -> Tensor:
        """Input `index`; InputError (EC3165) when the file leaves it out."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise self.malformed(f"it has no input {index}")
        return tensor

    def output(self, index: int = 0) -> Tensor:
        """Output `index`; InputError (EC3165) when the file leaves it out."""
        if index >= len(self.outputs):
            raise self.malformed(f"it has no output {index}")
        if not self.outputs[index].dtype:
            raise self.unsupported(f"its output is {self.outputs[index].kind}")
        return self.outputs[index]

    def option(self, name: str, default: Any = 0) -> Any:
        """A field of the operator's options; `default` when the file has no options."""
        return self._operator.options.get(name, default)

    def shape(self, index: int) -> Shape:
        """The static shape of input `index`; UnsupportedError (EC4143) when it is known at run time only."""
        return self.static(self.input(index))

    def static(self, tensor: Tensor) -> Shape:
        """The shape of `tensor`, all of whose dimensions must be known."""
        if -1 in tensor.shape:
            raise UnsupportedError(dynamic(tensor, f"{self.kind} '{self.name}' needs it"))
        return tensor.shape

    def constant(self, index: int) -> Array:
        """The value of input `index` as stored; UnsupportedError (EC4142) when it is none."""
        tensor = self.input(index)
        if tensor.data is None:
            raise self.unsupported(
                f"its input {index}, '{tensor.name}', is computed at run time", "", "EC4142"
            )
        return tensor.data

    def integers(self, index: int) -> Shape:
        """The constant input `index` as a tuple of integers."""
        return tuple(int(number) for number in self.constant(index).ravel())

    def axis(self, number: int, rank: int) -> int:
        """`number` counted from the front; InputError (EC3165) when there is no such axis."""
        if not -rank <= number < rank:
            raise self.malformed(f"axis {number} of a tensor of rank {rank}")
        return number % rank

    def stored(self, index: int, perm: Shape | None = None) -> ir.Value:
        """Input `index` as the file stores it, axes permuted by `perm`."""
        return self._builder.stored(self.input(index).index, perm, self.name)

    def real(self, index: int, perm: Shape | None = None) -> ir.Value:
        """Input `index` as real numbers, axes permuted by `perm`."""
        return self._builder.real(self.input(index).index, perm, self.name)

    def number(self, array: Any, dtype: str, label: str) -> ir.Value:
        """A constant of our own making."""
        return self._builder.constant(np.array(array, dtype), f"{self.name}/{label}")

    def dequantize(
        self, value: ir.Value, tensor: Tensor, quantization: Quantization, axis: int = 0
    ) -> ir.Value:
        """`value`, which holds integers of `tensor`'s type, as real numbers, by parameters of our own."""
        return self._builder.dequantize(value, tensor, quantization, axis)

    def emit(self, op_type: str, *inputs: ir.Value | None, step: str = "", **attributes: Any) -> ir.Value:
        """One node with one output. It bears the layer's name, and `step` behind it if that is given."""
        name = f"{self.name}/{step}" if step else self.name
        return self._builder.emit(op_type, inputs, attributes, name)[0]

    def emit_many(self, op_type: str, count: int, *inputs: ir.Value, **attributes: Any) -> list[ir.Value]:
        """One node with `count` outputs."""
        return self._builder.emit(op_type, inputs, attributes, self.name, count)

    def activate(self, value: ir.Value, dtype: str = "float32") -> ir.Value:
        """`value` after the fused activation function; left out where the quantization clamps as much."""
        number = self.option("FusedActivationFunction")
        if not number:
            return value
        if number not in _ACTIVATIONS:
            raise self.unsupported(f"fused activation function {number} is not known")
        op_type, bounds = _ACTIVATIONS[number]
        if bounds is not None and _clamps(self.output(), *bounds):
            return value
        limits = [self.number(bound, dtype, "bound") for bound in bounds or () if op_type == "Clip"]
        return self.emit(op_type, value, *limits, step=op_type)

    def store(self, value: ir.Value, index: int = 0, perm: Shape | None = None) -> None:
        """Output `index` is the real numbers `value`: quantized as the file says, axes permuted by `perm`."""
        tensor = self.output(index)
        if tensor.quantization is not None:
            value = self._builder.quantize(value, tensor)
        if perm is not None:
            value = self.emit("Transpose", value, step="Transpose", perm=perm)
        self.keep(value, index)

    def keep(self, value: ir.Value, index: int = 0) -> None:
        """Output `index` is `value`, which has its element type. Raises InputError (EC3164) if it has one."""
        tensor = self.output(index)
        if tensor.index in self._builder.values or tensor.data is not None:
            why = "an input, a constant or an earlier operator defines it already"
            raise InputError(Problem("EC3164", f"tensor '{tensor.name}' is computed twice", self.name, why))
        if value.producer() is None or value in self._builder.bound:
            value = self.emit("Identity", value, step="Identity")
        self._builder.bind(tensor, value)
        value.name = tensor.name
        if -1 not in tensor.shape:
            value.shape = ir.Shape(tensor.shape)
            value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(tensor.dtype)))

    def note(self, text: str) -> None:
        """A sentence for the report."""
        self._builder.notes.append(text)

    def unsupported(self, why: str, fix: str = "", code: str = "EC4144") -> UnsupportedError:
        """This operator cannot be translated because of `why`."""
        return UnsupportedError(Problem(code, f"{self.kind} cannot be imported", self.name, why, fix))

    def malformed(self, why: str) -> InputError:
        """This operator is not as TFLite defines it."""
        return InputError(
            Problem("EC3165", f"{self.kind} is not valid", self.name, why, "convert the network again")
        )


def dynamic(tensor: Tensor, why: str) -> Problem:
    """EC4143: a shape that is known at run time only."""
    what = f"the shape of tensor '{tensor.name}' is not known at compile time"
    shape = f"it is {list(tensor.shape)}"
    return Problem(
        "EC4143", what, tensor.name, f"{shape}; {why}" if why else shape, "convert with static shapes"
    )
