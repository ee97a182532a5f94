"""From scheduled TIR to code with a plain C interface: no runtime, no malloc, no globals.

A kernel becomes `int32_t symbol(T* read0, ..., T* write0, ..., int begin, int end, uint8_t* workspace)`,
with a range where threads can share a parallel loop (see `edgecompile.lower.tasks`). Every buffer that is too
large for the stack moves into the caller's workspace, whose size the memory plan must know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import Call, PointerType, PrimType
from tvm_ffi.structural import structural_map, structural_walk

from edgecompile.kernels.loops import WORKSPACE
from edgecompile.lower.legalize_for_c import legalize_for_c
from edgecompile.lower.lets import lower_lets
from edgecompile.lower.scale_in_two_steps import needs_two_steps, scale_in_two_steps
from edgecompile.lower.split_vectors import split_vectors
from edgecompile.lower.tasks import estimate_work, statements_of, take_range

# Accumulator tiles stay on the stack, and from there go into registers: at most 32 of 64 bytes. Anything
# larger belongs to the memory plan.
_STACK_BYTES = 2048
_WORKSPACE_ALIGN = 16


@dataclass(frozen=True)
class Interface:
    """What the caller of a kernel has to know.

    `workspace` is in bytes; 0: the kernel takes none. `tasks` iterations may run in any order and at the same
    time, each range of them with a workspace of its own; 0: the kernel takes no range. `work` is a rough
    estimate of all of it in cycles, 0 without tasks.
    """

    workspace: int = 0
    tasks: int = 0
    work: int = 0


@dataclass(frozen=True)
class LoweredKernels:
    """A module ready for code generation, and the interface of each kernel by symbol."""

    module: tvm.IRModule
    interfaces: dict[str, Interface]


def lower_to_c_abi(functions: dict[str, tirx.PrimFunc], target: tvm.target.Target) -> LoweredKernels:
    """Lower scheduled functions, keyed by symbol, to unpacked ones."""
    module = tvm.IRModule(
        {
            name: f.with_attr("global_symbol", name).with_attr("tirx.noalias", True)
            for name, f in functions.items()
        }
    )
    unpack = UnpackFunctions()
    module = tvm.transform.Sequential(_passes(target, unpack))(module)
    return LoweredKernels(module, unpack.interfaces)


def generate(module: tvm.IRModule, target: tvm.target.Target) -> Any:
    """Run TVM's code generator of the target's kind ("llvm" or "c") on a lowered module."""
    return tvm.get_global_func(f"target.build.{target.kind.name}")(module, target)


def _passes(target: tvm.target.Target, unpack: UnpackFunctions) -> list[Any]:
    """TVM's own lowering, without its packed-call interface and without `LowerTVMBuiltin`.

    The latter would turn accumulator tiles into heap allocations.
    """
    s, x = s_tir.transform, tirx.transform
    return [
        x.BindTarget(target.with_host(target)),
        s.ConvertSSA(),
        # blocks -> loops and buffers
        s.CanonicalizeLoop(),
        s.LowerInitBlock(),
        s.PlanAndUpdateBufferAllocationLocation(),
        s.ConvertBlocksToOpaque(),
        s.CompactBufferAllocation(),
        s.LowerMatchBuffer(),
        s.StmtSimplify(),
        s.LowerOpaqueBlock(),
        lower_lets(),
        x.FlattenBuffer(),
        x.BF16ComputeLegalize(),
        x.NarrowDataType(32),
        # loops
        s.LoopPartition(),
        x.VectorizeLoop(target.kind.name != "c"),
        split_vectors(),
        x.StorageRewrite(),
        s.HoistIfThenElse(),
        x.UnrollLoop(),
        s.RenormalizeSplitPattern(),
        x.StmtSimplify(),
        x.RemoveNoOp(),
        s.RewriteUnsafeSelect(),
        *([scale_in_two_steps()] if needs_two_steps(target) else []),
        x.CommonSubexprElim(),
        x.VerifyMemory(),
        # intrinsics and interface; division by constants is lowered while the bounds of loops are known
        x.LowerIntrin(),
        unpack.as_pass(),
        x.BF16StorageLegalize(),
        *([legalize_for_c()] if target.kind.name == "c" else []),
    ]


class UnpackFunctions:
    """The pass that gives kernels their C interface; `interfaces` collects it by symbol."""

    def __init__(self) -> None:
        self.interfaces: dict[str, Interface] = {}

    def as_pass(self) -> Any:
        return tvm.transform.module_pass(self._run, opt_level=0, name="UnpackFunctions")

    def _run(self, module: tvm.IRModule, _: Any) -> tvm.IRModule:
        functions = {gv: self._unpack(function) for gv, function in module.functions.items()}
        return tvm.IRModule(functions, attrs=module.attrs)

    def _unpack(self, function: tirx.PrimFunc) -> tirx.PrimFunc:
        parameters, declarations = [], []
        for buffer in function.params:
            pointer = tirx.Var(f"{buffer.name}_p", PointerType(PrimType(str(buffer.ty.dtype))))
            parameters.append(pointer)
            declarations.append(tirx.DeclBuffer(buffer, data=pointer))
        bounds = [tirx.Var("begin", "int32"), tirx.Var("end", "int32")]
        workspace = tirx.Var("workspace", PointerType(PrimType("uint8")))
        body, tasks = take_range(function.body, *bounds)
        body, size = _place_allocations(body, workspace)
        work = estimate_work(function.body) if tasks else 0
        self.interfaces[str(function.attrs["global_symbol"])] = Interface(size, tasks, work)
        parameters += [*(bounds if tasks else []), *([workspace] if size else [])]
        statements = [*declarations, *statements_of(body), tirx.Return(tirx.IntImm("int32", 0))]
        return tirx.PrimFunc(parameters, tirx.SeqStmt(statements), PrimType("int32"), function.attrs)


def _place_allocations(body: tirx.Stmt, workspace: tirx.Var) -> tuple[tirx.Stmt, int]:
    """Give each large allocation an offset in the workspace; returns the new body and the total bytes."""
    size = 0

    def take(nbytes: int, dtype: str) -> Any:
        nonlocal size
        offset = tirx.const(size, "int32")
        size += -(-nbytes // _WORKSPACE_ALIGN) * _WORKSPACE_ALIGN
        pointer_type = PointerType(PrimType(dtype))
        return tirx.call_intrin(pointer_type, "tirx.handle_add_byte_offset", workspace, offset)

    def place(allocation: tirx.AllocBuffer) -> tirx.Stmt:
        nbytes = _buffer_bytes(allocation.buffer)
        if nbytes <= _STACK_BYTES:
            return allocation
        pointer = take(nbytes, str(allocation.buffer.ty.dtype))
        return tirx.DeclBuffer(allocation.buffer, data=pointer)

    def replace(call: Any) -> Any:
        asks = _called(call) == WORKSPACE
        return take(int(call.args[1].value), "int8") if asks else call

    return structural_map(body, [(tirx.AllocBuffer, place), (Call, replace)]), size


def called_functions(function: tirx.PrimFunc) -> frozenset[str]:
    """The names of the C functions that `function` calls for their effect; libm's are values."""
    names: list[str] = []
    structural_walk(function.body, [(Call, lambda call: names.append(_called(call)))])
    return frozenset(names) - {"", WORKSPACE}


def _called(call: Any) -> str:
    """The name of the C function in a call that is not pure; "" for any other operation."""
    return str(call.args[0].value) if getattr(call.op, "name", "") == "tirx.call_extern" else ""


def _buffer_bytes(buffer: Any) -> int:
    dtype = tvm_ffi.dtype(str(buffer.ty.dtype))
    element = (int(dtype.bits) * int(dtype.lanes) + 7) // 8
    return math.prod(int(extent) for extent in buffer.ty.shape) * element
