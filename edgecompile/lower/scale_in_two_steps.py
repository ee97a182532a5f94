"""Keep LLVM from merging an integer-to-float conversion with a multiplication by a power of two, on MVE.

before: float(q) * 2^-8
after:  float(q) * 2^60 * 2^-68

LLVM turns the first into one conversion from fixed point. The LLVM in this TVM writes a wrong number of
fraction bits into the vector form of that instruction (13 in the place of 8), and the result is off by a
power of two. Both products of the second are exact, and no instruction does them at once.
"""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import tirx
from tvm_ffi.structural import structural_map

# No int32 leaves the range of float32 when it is multiplied by this.
_LARGE = 2.0**60


def needs_two_steps(target: tvm.target.Target) -> bool:
    """Whether code for `target` may contain MVE instructions."""
    return target.kind.name == "llvm" and str(target.attrs.get("mtriple", "")).startswith("thumbv8.1m")


def scale_in_two_steps() -> Any:
    """The pass."""

    def run(function: Any, _module: Any, _context: Any) -> Any:
        return function.with_body(structural_map(function.body, [(tirx.Mul, _split)]))

    return tirx.transform.prim_func_pass(run, opt_level=0, name="ScaleInTwoSteps")


def _split(product: Any) -> Any:
    for value, factor in ((product.a, product.b), (product.b, product.a)):
        number = _constant(factor)
        if number is not None and math.frexp(number)[0] == 0.5 and number < 1 and _is_converted(value):
            large, rest = (_like(factor, constant) for constant in (_LARGE, number / _LARGE))
            return tirx.Mul(tirx.Mul(value, large), rest)
    return product


def _constant(expression: Any) -> float | None:
    """The value of a float32 constant, or of a vector of them."""
    element = expression.value if isinstance(expression, tirx.Broadcast) else expression
    is_number = isinstance(element, tirx.FloatImm) and str(element.ty.dtype) == "float32"
    return float(element.value) if is_number else None


def _is_converted(expression: Any) -> bool:
    return isinstance(expression, tirx.Cast) and "int" in str(expression.value.ty.dtype)


def _like(factor: Any, number: float) -> Any:
    constant = tirx.const(number, "float32")
    return tirx.Broadcast(constant, factor.lanes) if isinstance(factor, tirx.Broadcast) else constant
