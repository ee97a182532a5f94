"""Tables of functions as the reference kernels of TensorFlow Lite compute them: in fixed point.

With rounding "double", networks get the integers that these kernels give. Most of them fill a table in
floating point, too; those here (ABS, HARD_SWISH, LEAKY_RELU) do not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import FusedOp
from edgecompile.core.integer import Multiplier, decompose
from edgecompile.passes.edit import Array
from edgecompile.passes.integer.quantized import Quantized
from edgecompile.passes.quantize.arithmetic import rescale, shift_half_away, shift_half_up

Routine = Callable[[ir.Node, Array, float, float], Array]  # node, integers without zero point, both scales

_INT16 = np.iinfo(np.int16)
# The real number 3 in the fixed point of the factor of HARD_SWISH.
_THREE = np.float32(3) / np.float32(32768)


def fixed_point_table(node: ir.Node, x: Quantized, y: Quantized) -> Array | None:
    """The integer of `y` for each integer of `x`, from the least; None where no routine is known."""
    op = FusedOp.of(node)
    routine = _ROUTINES.get(op.base) if op is not None and not op.activation else None
    if routine is None:
        return None
    low, high = x.limits
    data = np.arange(low, high + 1, dtype=np.int64) - x.zero
    result = routine(node, data, x.scale, y.scale) + y.zero
    return np.asarray(np.clip(result, *y.limits).astype(y.dtype))


def _abs(node: ir.Node, data: Array, x_scale: float, y_scale: float) -> Array:
    """One multiplier."""
    factor = Multiplier.of([x_scale / y_scale], "double")
    assert factor.shift is not None
    return rescale(np.abs(data), factor.multiplier, factor.shift, "double")


def _leaky_relu(node: ir.Node, data: Array, x_scale: float, y_scale: float) -> Array:
    """One multiplier for each sign."""
    alpha = node.attributes.get_float("alpha", 0.01)
    factors = [x_scale / y_scale, abs(alpha) * x_scale / y_scale]
    both = Multiplier.of(factors, "double")
    assert both.shift is not None
    positive = rescale(data, both.multiplier[0], both.shift[0], "double")
    negative = rescale(data, both.multiplier[1], both.shift[1], "double") * int(np.sign(alpha))
    return np.where(data >= 0, positive, negative)


def _hard_swish(node: ir.Node, data: Array, x_scale: float, y_scale: float) -> Array:
    """x · relu6(x + 3) / 6, with 16 bits for x and for the factor."""
    fine = np.float32(1 / 128) * np.float32(x_scale)
    data = data << 7
    q, right = _narrow(fine / np.float32(y_scale))
    scaled = _doubling_high_half(data, q)
    factor_q, factor_right = _narrow(fine / _THREE)
    factor = _saturated(data << max(-factor_right - 1, 0))
    factor = _doubling_high_half(factor, factor_q)
    if factor_right < 0:
        factor = _saturated(factor << 1)
    factor = shift_half_away(factor, np.asarray(max(factor_right, 0)))
    factor = (factor + (1 << 15)) >> 1
    product = factor * scaled
    whole = np.where(product < 0, -(-product >> 15), product >> 15)
    return shift_half_away(whole, np.asarray(right))


def _narrow(factor: np.float32) -> tuple[int, int]:
    """(q, shift) with factor = q * 2^-(15 + shift), q rounded half up to 16 bits."""
    q, shift = decompose(float(factor))
    return min((q + (1 << 15)) >> 16, _INT16.max), shift


def _doubling_high_half(value: Array, q: int) -> Array:
    return shift_half_up(value * q, np.asarray(15))


def _saturated(value: Array) -> Array:
    return np.clip(value, _INT16.min, _INT16.max)


_ROUTINES: dict[str, Routine] = {
    "Abs": _abs,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
}
