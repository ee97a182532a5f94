"""Floating-point constants that survive the C code generator.

TVM prints them with seven significant digits, which is too few even for float32 (nine are needed). Here a
constant that would change becomes a sum of short ones, in double precision, that the C compiler folds.
Infinity and NaN, which TVM prints as words that C does not know, become divisions by zero.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import tvm
from tvm import tirx
from tvm_ffi.structural import structural_map


def exact_constants() -> Any:
    """The pass; to be run last, because simplification would fold the sums again."""

    def run(module: tvm.IRModule, _: Any) -> tvm.IRModule:
        functions = {
            name: function.with_body(structural_map(function.body, [(tirx.FloatImm, _exact)]))
            for name, function in module.functions.items()
        }
        return tvm.IRModule(functions, attrs=module.attrs)

    return tvm.transform.module_pass(run, opt_level=0, name="ExactConstants")


def _exact(constant: Any) -> Any:
    dtype, value = str(constant.ty.dtype), float(constant.value)
    if not math.isfinite(value):
        return tirx.Cast(dtype, tirx.Div(_double(_sign_or_nan(value)), _double(0.0)))
    parts = printable_parts(value, dtype)
    if len(parts) == 1:
        return constant
    total = _double(parts[-1])
    for part in reversed(parts[:-1]):
        total = tirx.Add(total, _double(part))
    return total if dtype == "float64" else tirx.Cast(dtype, total)


def _double(value: float) -> Any:
    return tirx.const(value, "float64")


def _sign_or_nan(value: float) -> float:
    """What to divide by zero to get an infinity (its sign) or NaN (0), by IEEE 754."""
    return 0.0 if math.isnan(value) else math.copysign(1.0, value)


def printable_parts(value: float, dtype: str) -> list[float]:
    """Numbers of seven digits whose sum in double precision, smallest first, rounds to `value` in `dtype`."""
    kind = np.dtype(dtype).type
    parts = [float(f"{value:e}")]
    while math.isfinite(value) and kind(_sum(parts)) != kind(value) and len(parts) < 4:
        rest = Fraction(value) - sum(map(Fraction, parts))
        parts.append(float(f"{float(rest):e}"))
    return parts


def _sum(parts: list[float]) -> float:
    total = parts[-1]
    for part in reversed(parts[:-1]):
        total += part
    return total
