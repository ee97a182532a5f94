"""Integers times a power of two, where LLVM has an instruction that it writes wrongly."""

from __future__ import annotations

import re

import pytest
from tvm import te, tirx

from edgecompile.core.target import find_target
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.lower.codegen import llvm_target
from edgecompile.lower.tir import generate, lower_to_c_abi


def _assembly(target: str, factor: float) -> str:
    isa = find_target(target).isa
    x = te.placeholder((16,), "int8", name="x")
    y = te.compute((16,), lambda i: tirx.Cast("float32", x[i]) * tirx.const(factor, "float32"), name="y")
    function = schedule_default(te.create_prim_func([x, y]), isa)
    machine = llvm_target(isa)
    return str(generate(lower_to_c_abi({"kernel": function}, machine).module, machine).inspect_source("s"))


@pytest.mark.parametrize("exponent", [-1, -8, -31])
def test_no_conversion_from_fixed_point_on_mve(exponent: int) -> None:
    text = _assembly("cortex-m55", 2.0**exponent)
    assert "vcvt.f32.s32" in text
    assert not re.search(r"vcvt\.f32\.[su]32.*#", text)


def test_other_factors_are_one_product() -> None:
    assert _assembly("cortex-m55", 0.3).count("vmul.f32") == _assembly("cortex-m55", 4.0).count("vmul.f32")


def test_other_instruction_sets_multiply_once() -> None:
    assert _assembly("cortex-a72", 2.0**-8).count("fmul") <= _assembly("cortex-a72", 0.3).count("fmul")
