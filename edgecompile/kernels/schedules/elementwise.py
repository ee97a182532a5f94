"""Vector lanes for a block that computes each element by itself."""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import Call
from tvm.ir.expr import TensorLoad
from tvm.sym import Analyzer
from tvm_ffi.structural import structural_walk

from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.expressions import mentions
from edgecompile.kernels.schedules.loop_plan import LoopPlan

# Vectors of up to so many times the usual lanes, and so many of them written out, are worth measuring.
_WIDER = 4
_UNROLLED = (1, 2, 4)
_FEW_REGISTERS = 8


def store_lanes(schedule: s_tir.Schedule, block: Any, machine: Machine) -> int:
    """Lanes of a vector for a block: the smallest elements fill a register of 16 bytes at least.

    With few registers, those of the result: what it takes to widen many bytes at a time does not fit them.
    """
    body = schedule.get(block)
    regions = body.writes if machine.registers <= _FEW_REGISTERS else (*body.writes, *body.reads)
    least = min(max(8, int(tvm_ffi.dtype(str(region.source.ty.dtype)).bits)) for region in regions)
    return max(machine.lanes, 128 // least) if machine.lanes > 1 else 1


def elementwise_plans(schedule: s_tir.Schedule, block: Any, machine: Machine) -> list[LoopPlan]:
    """The vectors, and how many of them are written out, that are worth measuring for `block`."""
    usual, elements = store_lanes(schedule, block, machine), 1
    for variable in schedule.get(block).iter_vars:
        elements *= int(variable.dom.extent)
    widths = [1 << bit for bit in range((_WIDER * usual).bit_length())] if usual > 1 else [1]
    return [
        LoopPlan(lanes=lanes, unroll=unroll)
        for lanes in widths
        for unroll in _UNROLLED
        if lanes * unroll <= elements
    ]


def vectorize_elementwise(schedule: s_tir.Schedule, block: Any, lanes: int, unroll: int = 1) -> None:
    """Compute `lanes` neighbours at a time where their operands are neighbours too, or the same for all.

    Of such vectors, `unroll` are written out.

    The innermost loops are fused as far as every operand is laid out like the result in them, or does not
    depend on them. What is left over at the end of the fused loop stays scalar.
    """
    body, loops = schedule.get(block), schedule.get_loops(block)
    if lanes * unroll < 2 or len(loops) != len(body.iter_vars):
        return
    count = _fusible_loops(body)
    if count:
        loop = schedule.fuse(*loops[-count:]) if count > 1 else loops[-1]
    else:
        crosswise = _crosswise_loop(body)
        if crosswise is None:
            return
        loop = loops[crosswise]
        schedule.reorder(*loops[crosswise + 1 :], loop)
    extent = int(schedule.get(loop).extent)
    whole = extent - extent % (lanes * unroll)
    if whole == 0:
        return
    if whole < extent:
        loop = schedule.loop_partition(loop, [whole, None])[0]
    if unroll > 1:
        _, loop = schedule.split(loop, [None, lanes * unroll])
    vectors, vector = schedule.split(loop, [None, lanes])
    if unroll > 1:
        schedule.unroll(vectors)
    if lanes > 1:
        schedule.vectorize(vector)


def _fusible_loops(body: Any) -> int:
    """How many innermost loops can become one vectorised loop."""
    variables = [v.var for v in body.iter_vars]
    extents = [int(v.dom.extent) for v in body.iter_vars]
    accesses = _accesses(body.body)
    for count in range(len(variables), 0, -1):
        inner = variables[-count:]
        if all(_fits(*access, inner, extents[-count:]) for access in accesses) and not _branches(body, inner):
            return count
    return 0


def _crosswise_loop(body: Any) -> int | None:
    """The loop along which all operands are vectors although the result is not, where there is arithmetic.

    A transposed result is computed in vectors then, and stored lane by lane.
    """
    if not isinstance(body.body, tirx.BufferStore) or isinstance(_bare(body.body.value), TensorLoad):
        return None
    variables = [v.var for v in body.iter_vars]
    result = body.writes[0].source
    reads = [access for access in _accesses(body.body) if not access[0].same_as(result)]
    for place, variable in enumerate(variables[:-1]):
        extent = int(body.iter_vars[place].dom.extent)
        along = [access for access in reads if any(mentions(index, variable) for index in access[1])]
        if along and all(_fits(*access, [variable], [extent]) for access in along):
            return None if _branches(body, [variable]) else place
    return None


def _bare(value: Any) -> Any:
    """A value without the conversions around it."""
    while isinstance(value, tirx.Cast):
        value = value.value
    return value


def _accesses(body: Any) -> list[tuple[Any, list[Any]]]:
    """(buffer, index) of every element that is read or written."""
    found: list[tuple[Any, list[Any]]] = []

    def load(access: TensorLoad) -> None:
        found.append((access.source, list(access.indices)))

    def store(access: tirx.BufferStore) -> None:
        found.append((access.buffer, list(access.indices)))

    structural_walk(body, [(TensorLoad, load), (tirx.BufferStore, store)])
    return found


def _fits(buffer: Any, indices: list[Any], inner: list[Any], extents: list[int]) -> bool:
    """Whether an access depends on no inner variable, or runs through memory as the inner loops do."""
    if not any(mentions(index, *inner) for index in indices):
        return True
    head, tail = indices[: -len(inner)], indices[-len(inner) :]
    if len(tail) < len(inner) or any(mentions(index, *inner) for index in head):
        return False
    if len(inner) == 1:
        return not mentions(Analyzer().simplify(tail[0] - inner[0]), *inner)
    shape = [int(extent) for extent in buffer.ty.shape][-len(inner) :]
    return shape[1:] == extents[1:] and all(i.same_as(v) for i, v in zip(tail, inner, strict=True))


def _branches(body: Any, inner: list[Any]) -> bool:
    """Whether lanes would go different ways.

    A vector of conditions is computed lane by lane. So is an integer division, and its guard against a zero
    divisor, which is a `Select`, becomes a branch in scalar code only (TVM's RewriteUnsafeSelect).
    """
    found = False

    def call(node: Call) -> None:
        nonlocal found
        if getattr(node.op, "name", "").split(".")[-1] == "if_then_else":
            found = found or mentions(node.args[0], *inner)

    def division(node: Any) -> None:
        nonlocal found
        is_integer = not str(node.ty.dtype).startswith("float")
        found = found or (is_integer and not isinstance(node.b, tirx.IntImm))

    divisions = (tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod)
    structural_walk(body.body, [(Call, call), *((kind, division) for kind in divisions)])
    return found
