from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm import s_tir, te, tirx

from edgecompile.lower.codegen import kernels_to_c
from edgecompile.lower.legalize_for_c import helpers, printable_parts


def _sum_smallest_first(parts: list[float]) -> float:
    total = 0.0
    for part in reversed(parts):
        total += part
    return total


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_parts_give_the_same_float32(value: float) -> None:
    parts = printable_parts(value, "float32")
    assert all(part == float(f"{part:e}") for part in parts)
    assert np.float32(_sum_smallest_first(parts)) == np.float32(value)


@given(st.floats(min_value=1e-280, max_value=1e280) | st.floats(min_value=-1e280, max_value=-1e-280))
def test_parts_give_the_same_float64(value: float) -> None:
    assert _sum_smallest_first(printable_parts(value, "float64")) == value


def test_what_is_exact_stays_as_it_is() -> None:
    assert printable_parts(0.5, "float32") == [0.5]
    assert printable_parts(-104.0, "float32") == [-104.0]


@pytest.mark.parametrize("value", [1 / 3, math.inf, -math.inf, math.nan, 2147483520.0, 1e-38])
def test_the_compiled_constant_is_bit_exact(value: float, tmp_path: Path) -> None:
    code = _c_source(tirx.const(value, "float32"), tmp_path)
    code += '#include <stdio.h>\nint main(void) { float x = 1, y; k(&x, &y); printf("%a", y); return 0; }\n'
    want = float(np.float32(value))
    assert np.array_equal(float.fromhex(_run(code, tmp_path)), want, equal_nan=True)


def test_bits_are_copied_not_aliased(tmp_path: Path) -> None:
    x = te.placeholder((1,), "float32", name="x")
    bits = te.compute((1,), lambda i: tirx.reinterpret("int32", x(i)) + 1, name="y")
    kernels_to_c({"k": te.create_prim_func([x, bits])}, tmp_path / "k.c")
    code = (tmp_path / "k.c").read_text()
    assert "memcpy(&bits" in code
    assert "*(int32_t *)" not in code
    code += '#include <stdio.h>\nint main(void) { float x = 1; int32_t y; k(&x, &y); printf("%x", y); }\n'
    assert _run(code, tmp_path) == "3f800001"


def test_max_reads_what_was_written_before_it(tmp_path: Path) -> None:
    x = te.placeholder((3,), "float32", name="x")
    k = te.reduce_axis((0, 3), "k")
    schedule = s_tir.Schedule(te.create_prim_func([x, te.compute((1,), lambda i: te.max(x[k], k), name="y")]))
    schedule.unroll(schedule.get_loops(schedule.get_sblock("y"))[-1])
    kernels_to_c({"k": schedule.mod["main"]}, tmp_path / "k.c")
    code = (tmp_path / "k.c").read_text()
    code += '#include <stdio.h>\nint main(void) { float x[] = {1, 3, 2}, y; k(x, &y); printf("%g", y); }\n'
    assert _run(code, tmp_path) == "3"


def test_only_helpers_that_are_used_are_defined() -> None:
    assert helpers("y = x;") == ""
    assert helpers("bits_float_to_int32_t(x) + bits_float_to_int32_t(y)").count("static inline") == 1
    assert helpers("max_float(max_float(x, y), min_int32_t(p, q))").count("static inline") == 2


def _c_source(constant: tirx.PrimExpr, folder: Path) -> str:
    x = te.placeholder((1,), "float32", name="x")
    y = te.compute((1,), lambda i: tirx.Select(x(i) > 0.0, constant, x(i)), name="y")
    kernels_to_c({"k": te.create_prim_func([x, y])}, folder / "k.c")
    return (folder / "k.c").read_text()


def _run(code: str, folder: Path) -> str:
    (folder / "main.c").write_text(code)
    flags = ["-O2", "-Wall", "-Werror", "-Wno-unused-variable"]
    subprocess.run(["gcc", *flags, "-o", folder / "main", folder / "main.c", "-lm"], check=True)
    done = subprocess.run([folder / "main"], capture_output=True, text=True, check=True)
    return done.stdout
