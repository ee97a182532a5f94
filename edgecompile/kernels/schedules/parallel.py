"""Marks the loops of a scheduled kernel whose iterations may be shared out among threads.

A schedule may mark a loop itself (`T.parallel`, `schedule.parallel`). For all others it is done here, on the
finished loops: those around everything in the kernel that no reduction runs over. A buffer between two blocks
inside of them is no obstacle, because every thread gets one of its own. Loops without blocks around their
statements say nothing about reductions and stay as they are.
"""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm_ffi.structural import structural_mutate, structural_walk

# Iterations for each thread that make the shares equal to within a few percent.
_TASKS_PER_THREAD = 8


def share_out(function: tirx.PrimFunc, threads: int) -> tirx.PrimFunc:
    """A scheduled kernel with its outermost loops as one parallel loop, or with none for one thread.

    Loops are fused until there are enough iterations for equal shares. A kernel of several loop nests stays
    serial.
    """
    if threads == 1:
        return make_serial(function)
    if _has_kind(function, tirx.ForKind.PARALLEL) or not isinstance(function.body, s_tir.SBlockRealize):
        return function
    # A partitioned loop repeats the variables of its blocks; each gets its own here.
    schedule = s_tir.Schedule(s_tir.transform.ConvertSSA()(tvm.IRModule({"main": function})))
    loops = _shared_loops(schedule)
    extents = [int(schedule.get(loop).extent) for loop in loops]
    counts = [math.prod(extents[:depth]) for depth in range(len(loops) + 1)]
    depth = next((d for d, n in enumerate(counts) if n >= _TASKS_PER_THREAD * threads), len(loops))
    if counts[depth] < 2:
        return function
    loop = schedule.get(schedule.fuse(*loops[:depth]) if depth > 1 else loops[0])
    return _with_kind(schedule.mod["main"], loop.loop_var, tirx.ForKind.PARALLEL)


def make_serial(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """`function` with serial loops in the place of parallel ones."""
    if not _has_kind(function, tirx.ForKind.PARALLEL):
        return function
    return function.with_body(serial_loops(function.body))


def serial_loops(body: tirx.Stmt) -> tirx.Stmt:
    """`body` with serial loops in the place of parallel ones."""

    def visit(loop: Any, mutator: Any) -> Any:
        inner = mutator.default_mutate(loop)
        return _change(inner, tirx.ForKind.SERIAL) if inner.kind == tirx.ForKind.PARALLEL else inner

    return structural_mutate(body, [(tirx.For, visit)])


def _shared_loops(schedule: s_tir.Schedule) -> list[Any]:
    """The serial loops around all blocks, outermost first, up to one that a reduction runs over."""
    function = schedule.mod["main"]
    blocks = schedule.get_child_blocks(schedule.get_sblock(function.body.block.name_hint))
    nests = [schedule.get_loops(block) for block in blocks]
    reduced = _reduction_variables(function)
    shared = []
    for level in zip(*nests, strict=False):
        loops = [schedule.get(loop) for loop in level]
        same = all(loop.same_as(loops[0]) for loop in loops)
        is_reduced = any(loops[0].loop_var.same_as(variable) for variable in reduced)
        if not same or is_reduced or loops[0].kind != tirx.ForKind.SERIAL:
            break
        shared.append(level[0])
    return shared


def _reduction_variables(function: tirx.PrimFunc) -> list[tirx.Var]:
    """Loop variables that an axis depends on which is not purely spatial."""
    found: list[tirx.Var] = []

    def visit(realize: s_tir.SBlockRealize) -> None:
        for axis, value in zip(realize.block.iter_vars, realize.iter_values, strict=True):
            if axis.iter_type != tirx.IterVar.DataPar:
                structural_walk(value, [(tirx.Var, found.append)])

    structural_walk(function.body, [(s_tir.SBlockRealize, visit)])
    return found


def _has_kind(function: tirx.PrimFunc, kind: Any) -> bool:
    found = False

    def visit(loop: tirx.For) -> None:
        nonlocal found
        found = found or loop.kind == kind

    structural_walk(function.body, [(tirx.For, visit)])
    return found


def _with_kind(function: tirx.PrimFunc, variable: tirx.Var, kind: Any) -> tirx.PrimFunc:
    def visit(loop: Any, mutator: Any) -> Any:
        return _change(loop, kind) if loop.loop_var.same_as(variable) else mutator.default_mutate(loop)

    return function.with_body(structural_mutate(function.body, [(tirx.For, visit)]))


def _change(loop: Any, kind: Any) -> Any:
    return tirx.For(loop.loop_var, loop.min, loop.extent, kind, loop.body, None, loop.annotations)
