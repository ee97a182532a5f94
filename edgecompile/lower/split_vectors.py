"""Splits calls of NEON instructions on long vectors into calls on the vectors that the instructions have.

A vectorised loop over instruction calls may have any number of lanes, and its remainder has one. LLVM splits
plain arithmetic by itself, but takes an instruction of a particular target only with the hardware's types.
"""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call, PrimType
from tvm_ffi.structural import structural_mutate

from edgecompile.kernels.intrinsics.neon import LANEWISE

_REGISTER_BITS = 128
_PREFIX = "llvm.aarch64.neon."


def split_vectors() -> Any:
    """The pass; to be run once loops are vectors."""

    def run(module: tvm.IRModule, _: Any) -> tvm.IRModule:
        functions = {
            name: function.with_body(structural_mutate(function.body, [(Call, _split)]))
            for name, function in module.functions.items()
        }
        return tvm.IRModule(functions, attrs=module.attrs)

    return tvm.transform.module_pass(run, opt_level=0, name="SplitVectors")


def _split(call: Any, mutator: Any) -> Any:
    call = mutator.default_mutate(call)
    if not _is_neon(call):
        return call
    dtype = tvm_ffi.dtype(str(call.ty.dtype))
    bits, lanes = int(dtype.bits), int(dtype.lanes)
    if lanes == 1:
        return tirx.Shuffle([_call(call, [tirx.Broadcast(a, 2) for a in call.args[1:]], 2)], [0])
    count = bits * lanes // _REGISTER_BITS
    if count < 2:
        return call
    operands = [_parts(argument, count) for argument in call.args[1:]]
    pieces = [_call(call, [parts[i] for parts in operands], lanes // count) for i in range(count)]
    return tirx.Shuffle(pieces, list(range(lanes)))


def _is_neon(call: Any) -> bool:
    """Whether a call is of a NEON instruction whose operands have as many lanes as its result."""
    if getattr(call.op, "name", "") != "tirx.call_llvm_pure_intrin":
        return False
    name = str(tvm.get_global_func("target.llvm_get_intrinsic_name")(int(call.args[0])))
    return name.startswith(_PREFIX) and name.removeprefix(_PREFIX) in LANEWISE


def _call(call: Any, operands: list[Any], lanes: int) -> Any:
    """The same instruction on other vectors."""
    element = str(call.ty.dtype).partition("x")[0]
    return Call(call.op, [call.args[0], *operands], ret_ty=PrimType(f"{element}x{lanes}"))


def _parts(value: Any, count: int) -> list[Any]:
    """`value` in `count` vectors; those that it was put together from, where it was."""
    lanes = int(tvm_ffi.dtype(str(value.ty.dtype)).lanes) // count
    if isinstance(value, tirx.Shuffle) and len(value.vectors) == count:
        return list(value.vectors)
    if isinstance(value, tirx.Broadcast):
        return [tirx.Broadcast(value.value, lanes)] * count
    return [tirx.Shuffle([value], list(range(i * lanes, (i + 1) * lanes))) for i in range(count)]
