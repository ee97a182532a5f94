"""What TVM's C code generator would print wrongly, expressed in a way that it prints right.

Floating-point constants are printed with seven significant digits, which is too few even for float32 (nine
are needed): a constant that would change becomes a sum of short ones, in double precision, that the C
compiler folds. Infinity and NaN become divisions by zero. A number's bits are reinterpreted by reading memory
as another type, which C does not allow: here by a function that copies them. The operands of max and min are
kept in variables that are found again by their text, even when what they read has been written to since: here
they are the arguments of a function.
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
    callbacks = [
        (tirx.FloatImm, _exact),
        (Call, _copied_bits),
        (tirx.Max, lambda op: _chosen("max", op)),
        (tirx.Min, lambda op: _chosen("min", op)),
    ]

    def run(module: tvm.IRModule, _: Any) -> tvm.IRModule:
        functions = {
            name: function.with_body(structural_map(function.body, callbacks))
            for name, function in module.functions.items()
        }
        return tvm.IRModule(functions, attrs=module.attrs)

    return tvm.transform.module_pass(run, opt_level=0, name="LegalizeForC")


def helpers(source: str) -> str:
    """Definitions of `bits_float_to_int32_t(value)`, `max_float(a, b)` etc. that C `source` uses."""
    copies = sorted(set(re.findall(r"\bbits_(\w+)_to_(\w+)\(", source)))
    chosen = sorted(set(re.findall(r"\b(max|min)_(\w+)\(", source)))
    return "".join(
        f"static inline {to} bits_{of}_to_{to}({of} value) {{\n"
        f"  {to} bits;\n  memcpy(&bits, &value, sizeof bits);\n  return bits;\n}}\n\n"
        for of, to in copies
    ) + "".join(
        f"static inline {kind} {name}_{kind}({kind} a, {kind} b) {{\n"
        f"  return a {'>' if name == 'max' else '<'} b ? a : b;\n}}\n\n"
        for name, kind in chosen
    )


def _chosen(name: str, op: Any) -> Any:
    dtype = str(op.ty.dtype)
    return tirx.call_pure_extern(dtype, f"{name}_{_c_name(dtype)}", op.a, op.b)


def _c_name(dtype: str) -> str:
    return _C_NAMES.get(dtype, f"{dtype}_t")


def _copied_bits(call: Any) -> Any:
    if getattr(call.op, "name", "").split(".")[-1] != "reinterpret":
        return call
    source, result = str(call.args[0].ty.dtype), str(call.ty.dtype)
    return tirx.call_pure_extern(result, f"bits_{_c_name(source)}_to_{_c_name(result)}", call.args[0])


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
