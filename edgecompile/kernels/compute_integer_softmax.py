"""Softmax on integers, in the fixed-point arithmetic of gemmlowp (the reference of TensorFlow Lite).

The exponentials of all 256 possible distances from the row's greatest element come as a table. What is left
is their sum, its reciprocal by three steps of Newton's method, and a product an element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Tensor, element_type, shape_of
from edgecompile.kernels.compute_integer import Requantization
from edgecompile.kernels.loops import Buffer, each_alone, local, nest
from edgecompile.kernels.math import Expr, cast, const, let

_INT32_MAX = (1 << 31) - 1
# 48/17 and -32/17 with two integer bits: the line that is nearest to 1 / x on [1/2, 1].
_INTERCEPT, _SLOPE, _ONE = 1515870810, -1010580540, 1 << 29


def softmax(
    data: Tensor, exps: Tensor, axis: int, result: Requantization, rescaled: bool, fraction: int
) -> Tensor:
    """Softmax along `axis`: shares of 1 in units of 2^-fraction, or, `rescaled`, on the output's scale."""
    shape, dtype = shape_of(data), element_type(data)
    outer, extent, inner = shape[:axis], shape[axis], shape[axis + 1 :]
    lowest = int(np.iinfo(dtype).min)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        (x, table), (y,) = reads, writes
        with each_alone((*outer, *inner)) as at:
            state = local(4, "int32")
            greatest, total, scale, bits = (_Cell(state, place) for place in range(4))
            before, after = at[: len(outer)], at[len(outer) :]

            def exp(position: Expr) -> Expr:
                distance = greatest.value - cast(x[(*before, position, *after)], "int32")
                return table[distance]

            greatest.value = const(lowest, "int32")
            with T.serial(0, extent) as i:
                greatest.value = tirx.max(greatest.value, cast(x[(*before, i, *after)], "int32"))
            total.value = const(0, "int32")
            with T.serial(0, extent) as i:
                total.value = total.value + _round_shift(exp(i), const(12, "int32"))
            bits.value = _leading_zeros(total.value)
            scale.value = _reciprocal(total.value, bits.value)
            with T.serial(0, extent) as i:
                right = const(12 + 31 - fraction, "int32") - bits.value
                share = _round_shift(_high(scale.value, exp(i)), right)
                y[(*before, i, *after)] = finish(share)

    def finish(share: Expr) -> Expr:
        if rescaled:
            return result.at(share)
        return cast(tirx.min(share + const(result.y_zero, "int32"), const(result.hi, "int32")), result.dtype)

    (tensor,) = nest("integer_softmax", [data, exps], [(shape, result.dtype)], body)
    return tensor


class _Cell:
    """One element of a small array, as a variable of the loop nest."""

    def __init__(self, buffer: Any, place: int) -> None:
        self._buffer, self._place = buffer, place

    @property
    def value(self) -> Expr:
        return self._buffer[self._place]

    @value.setter
    def value(self, value: Expr) -> None:
        self._buffer[self._place] = value


def _high(a: Expr, b: Expr) -> Expr:
    """The high half of 2ab, rounded half up: the product of two fixed-point numbers."""
    product = cast(a, "int64") * cast(b, "int64") + const(1 << 30, "int64")
    return cast(tirx.shift_right(product, const(31, "int64")), "int32")


def _round_shift(value: Expr, bits: Expr) -> Expr:
    """A non-negative int32 value / 2^bits, rounded to the nearest, halves up; 0 < bits < 63."""
    wide, one = cast(value, "int64"), const(1, "int64")
    # The mask changes nothing but what TVM knows: from an amount that could be anything it derives a wrong
    # range of the result, and then removes the clamp behind it.
    last = tirx.bitwise_and(cast(bits, "int64") - one, const(63, "int64"))
    return cast(tirx.shift_right(tirx.shift_right(wide, last) + one, one), "int32")


def _leading_zeros(total: Expr) -> Expr:
    """The leading zero bits of 2^19 <= total < 2^31."""
    one, none = const(1, "int32"), const(0, "int32")
    # Bit 31 is zero in any case; each of the bits 20 to 30 counts when the number lies below it.
    below = [tirx.Select(total < const(1 << bit, "int32"), one, none) for bit in range(20, 31)]
    return sum(below, one)


def _reciprocal(total: Expr, zeros: Expr) -> Expr:
    """1 / (1 + f) with 31 fraction bits, where 1 + f is `total` without its leading zeros."""
    fraction = cast(
        tirx.shift_left(cast(total, "int64"), cast(zeros, "int64")) - const(1 << 31, "int64"), "int32"
    )
    wide = cast(fraction, "int64") + const(_INT32_MAX + 1, "int64")
    half = cast(tirx.shift_right(wide, const(1, "int64")), "int32")

    def newton(denominator: Expr, x: Expr, steps: int) -> Expr:
        if steps == 0:
            return cast(tirx.min(cast(x, "int64") * const(2, "int64"), const(_INT32_MAX, "int64")), "int32")
        error = const(_ONE, "int32") - _high(denominator, x)
        better = x + _high(x, error) * const(4, "int32")
        return let(better, lambda y: newton(denominator, y, steps - 1))

    def start(denominator: Expr) -> Expr:
        first = const(_INTERCEPT, "int32") + _high(denominator, const(_SLOPE, "int32"))
        return let(first, lambda x: newton(denominator, x, 3))

    return let(half, start)
