"""What TVM's C code generator would print wrongly, expressed in a way that it prints right.

Floating-point constants are printed with seven significant digits, which is too few even for float32 (nine
are needed): a constant that would change becomes a sum of short ones, in double precision, that the C
compiler folds. Infinity and NaN become divisions by zero. A number's bits are reinterpreted by reading memory
as another type, which C does not allow: here by a function that copies them.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import tvm
from tvm import tirx
from tvm.ir import Call
from tvm_ffi.structural import structural_map

# As the code generator calls them; the integers are the types of <stdint.h>.
_C_NAMES = {"float16": "half", "float32": "float", "float64": "double", "bool": "bool"}


def legalize_for_c() -> Any:
    """The pass; to be run last, because simplification would fold the sums again."""
    callbacks = [(tirx.FloatImm, _exact), (Call, _copied_bits)]

    def run(module: tvm.IRModule, _: Any) -> tvm.IRModule:
        functions = {
            name: function.with_body(structural_map(function.body, callbacks))
            for name, function in module.functions.items()
        }
        return tvm.IRModule(functions, attrs=module.attrs)

    return tvm.transform.module_pass(run, opt_level=0, name="LegalizeForC")


def bit_copies(source: str) -> str:
    """Definitions of the functions `bits_float_to_int32_t(value)` etc. that C `source` uses."""
    used = sorted(set(re.findall(r"\bbits_(\w+)_to_(\w+)\(", source)))
    return "".join(
        f"static inline {to} bits_{of}_to_{to}({of} value) {{\n"
        f"  {to} bits;\n  memcpy(&bits, &value, sizeof bits);\n  return bits;\n}}\n\n"
        for of, to in used
    )


def _copied_bits(call: Any) -> Any:
    if getattr(call.op, "name", "").split(".")[-1] != "reinterpret":
        return call
    source, result = str(call.args[0].ty.dtype), str(call.ty.dtype)
    name = f"bits_{_C_NAMES.get(source, f'{source}_t')}_to_{_C_NAMES.get(result, f'{result}_t')}"
    return tirx.call_pure_extern(result, name, call.args[0])


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
