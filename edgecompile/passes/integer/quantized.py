"""How a tensor of real numbers is stored in integers, read from the nodes around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.matching import produced_by

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
# The greatest distance of an integer from its zero point, which is 0 for 16 bits.
_REACH = {"int8": 255, "uint8": 255, "int16": 32768}


@dataclass(frozen=True)
class Quantized:
    """A tensor of real numbers (value - zero) * scale; `value` holds int8, uint8, or int16 with zero 0."""

    value: ir.Value
    scale: float
    zero: int
    dtype: np.dtype[Any]

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest integer."""
        info = np.iinfo(self.dtype)
        return int(info.min), int(info.max)

    @property
    def reach(self) -> int:
        """The greatest distance of an integer from the zero point."""
        return _REACH[self.dtype.name]

    @property
    def is_wide(self) -> bool:
        """Whether an integer has more than 8 bits."""
        return self.dtype.itemsize > 1

    @property
    def parameters(self) -> tuple[float, int, str]:
        """What two tensors have in common whose integers mean the same."""
        return self.scale, self.zero, self.dtype.name

    @property
    def shape(self) -> tuple[int, ...]:
        shape = static_shape(self.value)
        assert shape is not None
        return shape

    def integer_of(self, real: float) -> int:
        """The integer that stands for `real`, or the nearest that there is."""
        low, high = self.limits
        return int(np.clip(np.rint(real / self.scale) + self.zero, low, high))


@dataclass(frozen=True)
class Weights:
    """Constant weights as integers in [-127, 127] without zero point; one scale an output channel, or one."""

    integers: Array
    scales: Array

    def channels(self, count: int) -> Array:
        """One scale for each of `count` channels."""
        return np.broadcast_to(self.scales, (count,))


def dequantized(value: ir.Value | None) -> Quantized | None:
    """What `value` is the dequantization of; None when it is none, or has more than one scale."""
    node = produced_by(value, "DequantizeLinear")
    return None if node is None or node.inputs[0] is None else described(node, node.inputs[0])


def described(node: ir.Node, integers: ir.Value) -> Quantized | None:
    """`integers` by the scale and zero point of a QuantizeLinear or DequantizeLinear node."""
    scale = constant_of(node.inputs[1])
    zero = _zero_point(node)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None
    dtype = integers.dtype
    fits = dtype in _BYTES or (dtype == ir.DataType.INT16 and not zero.any())
    if dtype is None or not fits or scale.dtype != np.float32 or not scale.item() > 0:
        return None
    return Quantized(integers, float(scale.item()), int(zero.item()), dtype.numpy())


def constant_weights(value: ir.Value | None, axis: int) -> Weights | str:
    """The weights that `value` dequantizes, with channels on `axis`; a reason when they do not fit."""
    node = produced_by(value, "DequantizeLinear")
    stored = constant_of(node.inputs[0]) if node is not None else None
    if node is None or stored is None:
        return "its weights are not quantized"
    scale, zero = constant_of(node.inputs[1]), _zero_point(node)
    if scale is None or zero is None or scale.dtype != np.float32 or node.attributes.get_int("block_size", 0):
        return "the scales of its weights are not constant, or of blocks"
    own = node.attributes.get_int("axis", 1) % max(stored.ndim, 1)
    if scale.size > 1 and own != axis % stored.ndim:
        return f"the scales of its weights are along axis {own}, not of output channels"
    offset = _along(zero, stored.ndim, own) if zero.size > 1 else zero.reshape(())
    integers = stored.astype(np.int64) - offset
    if np.abs(integers).max(initial=0) > 127:
        return "its weights without their zero point are outside of [-127, 127]"
    return Weights(integers.astype(np.int8), scale.reshape(-1).astype(np.float64))


def constant_integers(value: ir.Value | None) -> tuple[Array, Array] | None:
    """(integers, scales) of a dequantized int32 constant without zero point: a bias."""
    node = produced_by(value, "DequantizeLinear")
    stored = constant_of(node.inputs[0]) if node is not None else None
    scale = constant_of(node.inputs[1]) if node is not None else None
    if node is None or stored is None or scale is None:
        return None
    zero = _zero_point(node)
    if zero is None or zero.any() or (scale.size not in (1, stored.size)):
        return None
    return stored.astype(np.int64), scale.reshape(-1).astype(np.float64)


def _zero_point(node: ir.Node) -> Array | None:
    """The zero point; 0 where it is left out, None when it is not constant."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return np.zeros((), np.int64)
    zero = constant_of(node.inputs[2])
    return None if zero is None else zero.astype(np.int64)


def _along(vector: Array, rank: int, axis: int) -> Array:
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)
