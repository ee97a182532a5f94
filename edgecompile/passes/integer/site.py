"""One place in a graph that may become an integer operator, and the edits that make it one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import FusedOp, activation_attributes
from edgecompile.core.integer import DOMAIN, Multiplier, Rounding
from edgecompile.core.model import describe_quantization
from edgecompile.passes.edit import Array, add_initializer, constant_of, static_shape
from edgecompile.passes.integer.quantized import Quantized, dequantized
from edgecompile.passes.rewriting import become, graph_of, insert

Inputs = Sequence[ir.Value | None]


class StaysFloat(Exception):
    """Why an operator cannot be computed in integers."""


@dataclass(frozen=True)
class Site:
    """`node` computes real numbers, which only `quantize` reads and turns into `result`."""

    node: ir.Node
    op: FusedOp
    quantize: ir.Node
    result: Quantized
    rounding: Rounding

    @property
    def name(self) -> str:
        """What new constants are named after."""
        return str(self.node.name or self.quantize.outputs[0].name)

    def operand(self, index: int) -> Quantized:
        """Input `index` in integers; StaysFloat when it is not quantized with one scale."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        found = dequantized(value)
        if found is None:
            raise StaysFloat(f"its input '{value.name if value else index}' is not quantized with one scale")
        describe_quantization(found.value, found.scale, found.zero)
        return found

    def operand_or_constant(self, index: int) -> Quantized:
        """As `operand`; a constant that is not quantized is, symmetrically."""
        array = constant_of(self.node.inputs[index])
        if array is None or array.dtype != np.float32 or not np.isfinite(array).all():
            return self.operand(index)
        dtype: np.dtype[Any] = np.dtype("int16" if self.result.is_wide else "int8")
        greatest = float(np.abs(array).max(initial=0.0)) or 1.0
        scale = float(np.float32(greatest / np.iinfo(dtype).max))
        value = self.constant(np.rint(array / scale).astype(dtype), f"input_{index}")
        describe_quantization(value, scale, 0)
        return Quantized(value, scale, 0, dtype)

    def clamp(self) -> tuple[int, int]:
        """[lo, hi] of the result under the activation; StaysFloat for one that is no clamp."""
        activation = self.op.activation
        if activation not in ("", "Relu", "Clip"):
            raise StaysFloat(f"what {activation} reads is not quantized")
        bounds = {"min": 0.0} if activation == "Relu" else activation_attributes(self.node)
        return self.between(bounds.get("min", -math.inf), bounds.get("max", math.inf))

    def between(self, least: float, greatest: float) -> tuple[int, int]:
        """The integers of the result for real numbers in [least, greatest]."""
        low, high = self.result.limits
        low = low if math.isinf(least) else self.result.integer_of(least)
        return low, high if math.isinf(greatest) else self.result.integer_of(greatest)

    def constant(self, array: Array, label: str) -> ir.Value:
        """A new constant of this operator."""
        return add_initializer(graph_of(self.quantize), f"{self.name}/{label}", array)

    def multiplier(self, factors: Sequence[float] | Array) -> list[ir.Value]:
        """The inputs `multiplier` and, unless the rounding is "float", `shift` for real `factors`."""
        rescale = Multiplier.of(factors, self.rounding)
        values = [self.constant(rescale.multiplier, "multiplier")]
        if rescale.shift is not None:
            values.append(self.constant(rescale.shift, "shift"))
        return values

    def result_attributes(self, lo: int, hi: int) -> dict[str, Any]:
        """The attributes with which every requantization ends."""
        return {"y_zero": self.result.zero, "lo": lo, "hi": hi, "rounding": self.rounding}

    def kept_attributes(self, *names: str) -> dict[str, Any]:
        """Attributes of the float operator that the integer one has as well."""
        return {name: self.node.attributes[name].value for name in names if name in self.node.attributes}

    def reshaped(self, value: ir.Value, shape: Sequence[int]) -> ir.Value:
        """`value` under another shape, which costs nothing."""
        if static_shape(value) == tuple(shape):
            return value
        target = self.constant(np.array(shape, np.int64), "shape_of_operand")
        return insert(self.quantize, "Reshape", [value, target], shape=shape)

    def become(
        self, op_type: str, inputs: Inputs, attributes: Mapping[str, Any], domain: str = DOMAIN
    ) -> None:
        """Compute the integers of the result by this operator, under the name of the float one."""
        name = self.node.name
        become(self.quantize, op_type, inputs, attributes, domain)
        self.quantize.name = name
