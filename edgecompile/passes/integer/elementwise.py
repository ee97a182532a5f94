"""Sums, products, functions of one element, and Softmax in integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.integer import (
    FUNCTION_KEY,
    SOFTMAX_BITS,
    SOFTMAX_FINE_BITS,
    SOFTMAX_LIMIT,
    TABLE_BITS,
    add_shift,
)
from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.integer.fixed_point_tables import fixed_point_table
from edgecompile.passes.integer.functions import Function, function_of
from edgecompile.passes.integer.quantized import Quantized, dequantized
from edgecompile.passes.integer.site import Site, StaysFloat
from edgecompile.passes.quantize.softmax import exponentials

# An eighth of what one step of 8 bits would be: kinks of a function lie between entries of its table.
_OFF_LINE = 32


def convert_add(site: Site) -> None:
    """Add and Sub: both operands on a scale that is finer than the coarser one's by 2^20 / 2 (2^15 / 2)."""
    if _has_scalar(site):
        convert_function(site)
        return
    lo, hi = site.clamp()
    a, b = site.operand_or_constant(0), site.operand_or_constant(1)
    twice = 2 * max(a.scale, b.scale)
    shift = add_shift(a.dtype.name, b.dtype.name)
    factors = [a.scale / twice, b.scale / twice, twice / ((1 << shift) * site.result.scale)]
    attributes = site.result_attributes(lo, hi) | {"a_zero": a.zero, "b_zero": b.zero}
    site.become(site.op.base, [a.value, b.value, *site.multiplier(factors)], attributes)


def convert_mul(site: Site) -> None:
    """Mul: the product of the integers without their zero points."""
    if _has_scalar(site):
        convert_function(site)
        return
    lo, hi = site.clamp()
    a, b = site.operand_or_constant(0), site.operand_or_constant(1)
    factor = a.scale * b.scale / site.result.scale
    if site.rounding == "double":  # as TFLite: in float32
        factor = float(np.float32(a.scale) * np.float32(b.scale) / np.float32(site.result.scale))
    factors = [factor]
    attributes = site.result_attributes(lo, hi) | {"a_zero": a.zero, "b_zero": b.zero}
    site.become("Mul", [a.value, b.value, *site.multiplier(factors)], attributes)


def convert_clamp(site: Site) -> None:
    """Relu and Clip by themselves."""
    bounds = {"Relu": [0.0, np.inf]}.get(site.op.base, [-np.inf, np.inf])
    for place, value in enumerate(site.node.inputs[1:]):
        array = constant_of(value)
        if value is not None and (array is None or array.size != 1):
            raise StaysFloat("its bounds are not constant")
        bounds[place] = bounds[place] if array is None else float(array.item())
    requantize(site, site.operand(0), *site.between(*bounds))


def convert_function(site: Site) -> None:
    """Any function of one element: a table of its 256 values, or of 513 that lines are drawn between."""
    function = function_of(site.node)
    if function is None or site.op.activation:
        raise StaysFloat("it is no function of one element that is known here")
    x = site.operand(_varying(site))
    if x.is_wide:
        values = lines(function, x, site.result)
    else:
        by_tflite = fixed_point_table(site.node, x, site.result) if site.rounding == "double" else None
        values = table(function, x, site.result) if by_tflite is None else by_tflite
    description = _description(site.node)
    site.become("Table", [x.value, site.constant(values, "table")], {})
    site.quantize.metadata_props.update(description)


def convert_softmax(site: Site) -> None:
    """Softmax in fixed point, requantized unless the result has scale 1/256 and the least zero point."""
    x, shape = site.operand(0), static_shape(site.node.outputs[0]) or ()
    axis = site.node.attributes.get_int("axis", -1) % max(len(shape), 1)
    if x.is_wide:
        raise StaysFloat("the routine for it is one of 8 bits")
    if not shape or shape[axis] > SOFTMAX_LIMIT:
        raise StaysFloat(f"its rows have more than {SOFTMAX_LIMIT} elements")
    exps = site.constant(exponentials(x.scale), "exps")
    low, high = site.result.limits
    natural = (site.result.scale, site.result.zero) == (1 / (1 << SOFTMAX_BITS), low)
    factors = [] if natural else site.multiplier([1 / ((1 << SOFTMAX_FINE_BITS) * site.result.scale)])
    attributes = site.result_attributes(low, high) | {"axis": axis}
    site.become("Softmax", [x.value, exps, *factors], attributes)


def convert_dequantized(site: Site) -> None:
    """DequantizeLinear, QuantizeLinear: another scale, zero point or type for the same numbers."""
    x = dequantized(site.node.outputs[0])
    if x is None:
        raise StaysFloat("it has more than one scale")
    requantize(site, x, *site.result.limits)


def requantize(site: Site, x: Quantized, lo: int, hi: int) -> None:
    """End a site by a Requantize of `x`, clamped to [lo, hi]."""
    attributes = site.result_attributes(lo, hi) | {"x_zero": x.zero}
    site.become("Requantize", [x.value, *site.multiplier([x.scale / site.result.scale])], attributes)


def table(function: Function, x: Quantized, y: Quantized) -> Array:
    """For each integer of `x`, from the least, the integer of `y` nearest to function(x)."""
    low, high = x.limits
    return _nearest(function, np.arange(low, high + 1), x, y)


def lines(function: Function, x: Quantized, y: Quantized) -> Array:
    """`table` for every 2^TABLE_BITS-th integer of `x` and the one after the last, in 16 bits.

    StaysFloat where lines between them miss a result of the function by more than `_OFF_LINE` steps.
    """
    (low, high), step = x.limits, 1 << TABLE_BITS
    entries = _nearest(function, np.arange(low, high + 2, step), x, y)
    every = np.arange(high + 1 - low)
    between = np.interp(every, np.arange(len(entries)) * step, entries.astype(np.float64))
    if np.abs(between - _nearest(function, every + low, x, y)).max() > _OFF_LINE:
        raise StaysFloat("it bends too much for lines between 513 of its values")
    return entries.astype(np.int16)


def _nearest(function: Function, integers: Array, x: Quantized, y: Quantized) -> Array:
    real = (integers.astype(np.float64) - x.zero) * x.scale
    with np.errstate(all="ignore"):
        exact = np.nan_to_num(function(real) / y.scale, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.asarray(np.clip(np.rint(exact) + y.zero, *y.limits).astype(y.dtype))


def _description(node: ir.Node) -> dict[str, str]:
    """Which function a table holds, for those who have an operator for it."""
    attributes = {
        f"{FUNCTION_KEY}.{name}": str(attribute.value) for name, attribute in node.attributes.items()
    }
    return {FUNCTION_KEY: node.op_type} | attributes


def _has_scalar(site: Site) -> bool:
    """Whether an 8-bit operand meets one constant number that is not quantized: a function, for a table."""
    if site.result.is_wide:
        return False
    arrays = [constant_of(value) for value in site.node.inputs]
    return not site.op.activation and any(array is not None and array.size == 1 for array in arrays)


def _varying(site: Site) -> int:
    """The one input that is no constant."""
    inputs = enumerate(site.node.inputs)
    places = [i for i, value in inputs if value is not None and constant_of(value) is None]
    if len(places) != 1:
        raise StaysFloat("it depends on more than one tensor")
    return places[0]
