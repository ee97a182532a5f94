"""The operators on quantized integers, and how a real multiplier becomes an integer one.

A node of domain "edgecompile.integer" computes integers that are specified to the last bit. A real number is
(integer - zero point) * scale. Every operator ends with the same step, `requantize`: the int32 sum is
multiplied by a real number M, rounded, the zero point is added, and the result is clamped to [lo, hi], which
is also how Relu and Clip are done. A sum that may leave int32, as only those of 16-bit activations do, is one
of 64 bits, and is first brought to int32 as (sum + 2^(n-1)) >> n, with n the attribute `sum_shift`; M is 2^n
times as large then. How the product is rounded is a property of the compiled network:

single  (sum * q + 2^(30 + s)) >> (31 + s) in 64 bits, for M = q * 2^-(31 + s) with 2^30 <= q < 2^31
double  the high half of 2 * sum * q, rounded half up, then a right shift by s, rounded half away from zero
        (a left shift, before the product, for s < 0): the arithmetic of gemmlowp and TensorFlow Lite
float   rint(float32(sum) * float32(M)), ties to even

Conventions of the nodes:
- activations are int8, uint8, or int16 with zero point 0; the attribute x_zero (a_zero, b_zero) is the zero
  point of an input;
- `sum_shift` is left out where sums are of 32 bits; with it, the bias is int64;
- `multiplier` is int32 q, or float32 M in rounding "float", where `shift` is left out;
- a channels-last operator is called ...Nhwc; its weights are as in ONNX, as it is with core/fused.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

DOMAIN = "edgecompile.integer"
VERSION = 1

Rounding = Literal["single", "double", "float"]
ROUNDINGS: tuple[Rounding, ...] = ("single", "double", "float")
# The key under which a model file says in which mode its integers must be computed. With ".Gemm" behind it:
# the mode of that operator, where a file demands another one than for the rest.
ROUNDING_KEY = "edgecompile.rounding"

# Metadata of a Table node: the operator whose values it holds, and with ".alpha" behind it, that attribute.
FUNCTION_KEY = "edgecompile.function"

# Operands of Add and Sub are shifted left by so many bits before they are brought to a common scale: int16
# ones (and what is added to them) by the second number, so that they still fit int32.
ADD_SHIFT, ADD_SHIFT_16 = 20, 15
# A table for int16 has an entry for every 2^TABLE_BITS integers.
TABLE_BITS = 7
# The sum of so many exponentials still fits the 12 integer bits of the Softmax routine.
SOFTMAX_LIMIT = 4095
# At most so many bits tell where between two elements ResizeLinear reads.
RESIZE_BITS = 10
# Fraction bits of what Softmax computes: as it is the result, and before it is requantized.
SOFTMAX_BITS, SOFTMAX_FINE_BITS = 8, 16

_RESULT = ("y_zero", "lo", "hi", "rounding")
_WINDOW = ("kernel_shape", "strides", "dilations", "pads")
_RESCALE = ("multiplier", "shift")


@dataclass(frozen=True)
class Operator:
    """What a node of the domain has: names of its inputs in order, and of its attributes."""

    inputs: tuple[str, ...]
    attributes: tuple[str, ...]


_CONV = Operator(("x", "w", "bias", *_RESCALE), ("x_zero", "group", *_WINDOW, "sum_shift", *_RESULT))
_POOL = Operator(("x", *_RESCALE), ("x_zero", "count_include_pad", *_WINDOW, *_RESULT))
_MEAN = Operator(("x", *_RESCALE), ("x_zero", *_RESULT))
_BINARY = Operator(("a", "b", *_RESCALE), ("a_zero", "b_zero", *_RESULT))

OPERATORS: dict[str, Operator] = {
    # the zero point of x times the weights is folded into the bias; x_zero is what the padding holds
    "Conv": _CONV,
    "ConvNhwc": _CONV,
    # x [M, K], w [N, K], bias folded as for Conv
    "Gemm": Operator(("x", "w", "bias", *_RESCALE), ("x_zero", "sum_shift", *_RESULT)),
    # numpy.matmul of two activations, each without its zero point
    "MatMul": Operator(("a", "b", *_RESCALE), ("a_zero", "b_zero", "sum_shift", *_RESULT)),
    # multiplier and shift have three entries: for a, for b, and for the sum
    "Add": _BINARY,
    "Sub": _BINARY,
    "Mul": _BINARY,
    # the sum without zero points is requantized (if there is a multiplier), then divided by the count, half
    # away from zero; uint8 zero points are taken relative to 128, so that both types round alike
    "AveragePool": _POOL,
    "AveragePoolNhwc": _POOL,
    "GlobalAveragePool": _MEAN,
    "GlobalAveragePoolNhwc": _MEAN,
    "ReduceMean": Operator(("x", *_RESCALE), ("x_zero", "axes", "keepdims", *_RESULT)),
    # y = table[x + 128] (table[x] for uint8). For int16 x = 128 i + j - 32768, 0 <= j < 128, the line through
    # two of 513 entries: table[i] + (((table[i + 1] - table[i]) * j + 64) >> 7)
    "Table": Operator(("x", "table"), ()),
    # exps[d] is the fixed-point exponential for an element that is d below the greatest. Without a multiplier
    # y has scale 1/256; otherwise it is requantized from scale 2^-16
    "Softmax": Operator(("x", "exps", *_RESCALE), ("axis", *_RESULT)),
    "Requantize": Operator(("x", *_RESCALE), ("x_zero", *_RESULT)),
    # linear interpolation along each of `axes`, which have `sizes` elements in the result. int32 `positions`
    # say for each of them, axis after axis, where it lies in x, in 2^-bits. The sum of its neighbours without
    # zero points, weighted by their nearness, is 2^(bits * axes) times as large; it is requantized if there
    # is a multiplier, else divided, half away from zero (zero points as for AveragePool)
    "ResizeLinear": Operator(("x", "positions", *_RESCALE), ("x_zero", "axes", "sizes", "bits", *_RESULT)),
}


@dataclass(frozen=True)
class Multiplier:
    """Real factors in the form that a rounding mode takes: the inputs `multiplier` and `shift` of a node."""

    multiplier: np.ndarray[Any, Any]
    shift: np.ndarray[Any, Any] | None

    @staticmethod
    def of(factors: Sequence[float] | np.ndarray[Any, Any], rounding: Rounding) -> Multiplier:
        """One entry for each of `factors` (double precision, not negative)."""
        if rounding == "float":
            return Multiplier(np.asarray(factors, np.float64).astype(np.float32), None)
        pairs = np.array([decompose(float(factor)) for factor in factors], np.int32).reshape(-1, 2)
        return Multiplier(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]))


def add_shift(*types: str) -> int:
    """By how many bits Add and Sub shift operands of these element types to the left."""
    return ADD_SHIFT_16 if "int16" in types else ADD_SHIFT


def sum_shift(greatest: int) -> int:
    """The least n >= 0 for which (sum + 2^(n-1)) >> n fits int32, for all |sum| <= `greatest`."""
    shift = max(greatest.bit_length() - 31, 0)
    rounded = (greatest + ((1 << shift) >> 1)) >> shift
    return shift if rounded < 1 << 31 else shift + 1


def decompose(factor: float) -> tuple[int, int]:
    """(q, shift) with factor = q * 2^-(31 + shift), 2^30 <= q < 2^31, rounded to the nearest q (half up).

    A factor below 2^-32 becomes (0, 0): no int32 times it is half of one. One of 2^30 or more becomes the
    greatest that there is.
    """
    if factor <= 0.0:
        return 0, 0
    fraction, exponent = math.frexp(factor)
    q = math.floor(fraction * (1 << 31) + 0.5)
    if q == 1 << 31:
        q, exponent = q >> 1, exponent + 1
    if exponent < -31:
        return 0, 0
    return (q, -exponent) if exponent <= 30 else ((1 << 31) - 1, -30)
