"""The operators on quantized integers, and how a real multiplier becomes an integer one.

A node of domain "edgecompile.integer" computes integers that are specified to the last bit. A real number is
(integer - zero point) * scale. Every operator ends with the same step, `requantize`: the int32 sum is
multiplied by a real number M, rounded, the zero point is added, and the result is clamped to [lo, hi], which
is also how Relu and Clip are done. How the product is rounded is a property of the compiled network:

single  (sum * q + 2^(30 + s)) >> (31 + s) in 64 bits, for M = q * 2^-(31 + s) with 2^30 <= q < 2^31
double  the high half of 2 * sum * q, rounded half up, then a right shift by s, rounded half away from zero
        (a left shift, before the product, for s < 0): the arithmetic of gemmlowp and TensorFlow Lite
float   rint(float32(sum) * float32(M)), ties to even

Conventions of the nodes:
- activations are int8 or uint8; the attribute x_zero (a_zero, b_zero) is the zero point of an input;
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

# Operands of Add and Sub are shifted left by this many bits before they are brought to a common scale.
ADD_SHIFT = 20
# The sum of so many exponentials still fits the 12 integer bits of the Softmax routine.
SOFTMAX_LIMIT = 4095
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


_CONV = Operator(("x", "w", "bias", *_RESCALE), ("x_zero", "group", *_WINDOW, *_RESULT))
_POOL = Operator(("x", *_RESCALE), ("x_zero", "count_include_pad", *_WINDOW, *_RESULT))
_MEAN = Operator(("x", *_RESCALE), ("x_zero", *_RESULT))
_BINARY = Operator(("a", "b", *_RESCALE), ("a_zero", "b_zero", *_RESULT))

OPERATORS: dict[str, Operator] = {
    # the zero point of x times the weights is folded into the bias; x_zero is what the padding holds
    "Conv": _CONV,
    "ConvNhwc": _CONV,
    # x [M, K], w [N, K], bias folded as for Conv
    "Gemm": Operator(("x", "w", "bias", *_RESCALE), ("x_zero", *_RESULT)),
    # numpy.matmul of two activations, each without its zero point
    "MatMul": _BINARY,
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
    # y = table[x + 128] (table[x] for uint8)
    "Table": Operator(("x", "table"), ()),
    # exps[d] is the fixed-point exponential for an element that is d below the greatest. Without a multiplier
    # y has scale 1/256; otherwise it is requantized from scale 2^-16
    "Softmax": Operator(("x", "exps", *_RESCALE), ("axis", *_RESULT)),
    "Requantize": Operator(("x", *_RESCALE), ("x_zero", *_RESULT)),
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
