"""The default schedule: inline what is elementwise, compute reductions in register tiles.

A reduction (conv, gemm, pool, mean) is computed for a tile of `rows x columns` outputs at a time: columns
are the innermost output axis and become vector lanes, rows are unrolled, the accumulators stay in registers
and the epilogue (bias, activation, residual) is applied to the tile before it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import s_tir, tirx
from tvm.ir import Call
from tvm_ffi.structural import structural_walk

from edgecompile.core.target import Isa

_REDUCE = 2  # tirx.IterVar.CommReduce
_MAX_ACCUMULATORS = 12
_MAX_COLUMNS = 32
# Calls that cost no more than an arithmetic instruction and may be computed again where they are used.
_CHEAP_CALLS = {"if_then_else", "likely", "fabs", "reinterpret"}


@dataclass(frozen=True)
class Tile:
    """Register tile in output elements."""

    rows: int
    columns: int


def schedule_default(function: tirx.PrimFunc, isa: Isa) -> tirx.PrimFunc:
    """Schedule a kernel for `isa`; a block of a shape that the template does not know keeps plain loops."""
    schedule = s_tir.Schedule(function)
    _inline_elementwise(schedule)
    # A definition inlined at two places repeats the variables of its `let`s; each gets its own here.
    schedule = s_tir.Schedule(s_tir.transform.ConvertSSA()(schedule.mod))
    names = [schedule.get(b).name_hint for b in _blocks(schedule) if _is_reduction(schedule, b)]
    for name in names:
        schedule = _try_tiling(schedule, name, max(1, isa.vector_bits // 32))
    return schedule.mod["main"]


def _try_tiling(schedule: s_tir.Schedule, name: str, lanes: int) -> s_tir.Schedule:
    """The schedule with block `name` tiled, or as it was when its shape does not allow that."""
    trial = s_tir.Schedule(schedule.mod)
    try:
        _tile_reduction(trial, trial.get_sblock(name), lanes)
    except s_tir.ScheduleError:
        return schedule
    return trial


def _blocks(schedule: s_tir.Schedule) -> list[Any]:
    # A function of one extern block has that block at its root.
    root = schedule.mod["main"].body.block
    return list(schedule.get_child_blocks(schedule.get_sblock(root.name_hint)))


def _is_reduction(schedule: s_tir.Schedule, block: Any) -> bool:
    body = schedule.get(block)
    return body.init is not None and any(v.iter_type == _REDUCE for v in body.iter_vars)


def _is_spatial(schedule: s_tir.Schedule, block: Any) -> bool:
    variables = schedule.get(block).iter_vars
    return len(variables) > 0 and all(v.iter_type == 0 for v in variables)


def _inline_elementwise(schedule: s_tir.Schedule) -> None:
    """Inline elementwise blocks into their readers, unless that repeats expensive work."""
    for block in _blocks(schedule):
        consumers = schedule.get_consumers(block)
        if not consumers or not _is_spatial(schedule, block):
            continue
        repeated = len(consumers) > 1 or any(_is_reduction(schedule, c) for c in consumers)
        if repeated and _is_expensive(schedule.get(block)):
            continue
        try:
            schedule.compute_inline(block)
        except s_tir.ScheduleError:
            continue  # read by an extern block, or at two places of one block


def _is_expensive(block: Any) -> bool:
    found = False

    def visit(call: Call) -> None:
        nonlocal found
        found = found or getattr(call.op, "name", "").split(".")[-1] not in _CHEAP_CALLS

    structural_walk(block.body, [(Call, visit)])
    return found


def _tile_reduction(schedule: s_tir.Schedule, block: Any, lanes: int) -> None:
    """Compute `block` tile by tile, inside the loops of the one block that reads it."""
    consumers = schedule.get_consumers(block)
    reads_whole = len(consumers) == 1 and _same_shape(schedule, block, consumers[0])
    if consumers and not reads_whole:
        return
    epilogue = consumers[0] if consumers else schedule.cache_write(block, 0, "global")
    loops = schedule.get_loops(epilogue)
    extents = [int(schedule.get(loop).extent) for loop in loops]
    if not loops or extents[-1] == 0:
        return
    if not _reads_contiguously(schedule, block):
        lanes = 1
    tile = choose_tile(extents[-2] if len(extents) > 1 else 1, extents[-1], lanes)
    column_outer, columns = schedule.split(loops[-1], [None, tile.columns])
    inner = [columns]
    if len(loops) > 1:
        row_outer, rows = schedule.split(loops[-2], [None, tile.rows])
        schedule.reorder(row_outer, column_outer, rows, columns)
        inner = [rows, columns]
    schedule.compute_at(block, column_outer, preserve_unit_loops=True)
    _finish_tile(schedule, block, len(schedule.get_loops(epilogue)) - len(inner), tile, lanes)
    if len(inner) > 1 and tile.rows > 1:
        schedule.unroll(inner[0])
    if lanes > 1 and tile.columns > 1:
        schedule.vectorize(inner[-1])


def _finish_tile(schedule: s_tir.Schedule, block: Any, depth: int, tile: Tile, lanes: int) -> None:
    """Order the block's own loops: reductions outside, rows unrolled, columns as lanes."""
    own = schedule.get_loops(block)[depth:]
    kinds = [v.iter_type for v in schedule.get(block).iter_vars]
    spatial = [loop for loop, kind in zip(own, kinds, strict=True) if kind == 0]
    reduction = [loop for loop, kind in zip(own, kinds, strict=True) if kind == _REDUCE]
    schedule.reorder(*reduction, *spatial)
    unrolled = spatial[:-1] if lanes > 1 else spatial
    for loop in unrolled:
        schedule.unroll(loop)
    if lanes > 1 and tile.columns > 1:
        schedule.vectorize(spatial[-1])
    schedule.decompose_reduction(block, reduction[0])


def choose_tile(rows: int, columns: int, lanes: int) -> Tile:
    """The register tile for an output of `rows x columns` (the two innermost extents).

    Columns: the divisor that wastes the fewest lanes, larger first. Rows: the largest divisor that keeps
    the accumulators within the register file.
    """
    limit = _MAX_COLUMNS if lanes > 1 else 4
    divisors = [d for d in range(1, min(columns, limit) + 1) if columns % d == 0]

    def used(width: int) -> float:
        return width / (-(-width // lanes) * lanes)

    best = max(divisors, key=lambda d: (used(d) > 0.6, min(d, 2 * lanes) * used(d), -d))
    registers = -(-best // lanes)
    rows_limit = max(1, _MAX_ACCUMULATORS // registers)
    return Tile(max(d for d in range(1, min(rows, rows_limit, 8) + 1) if rows % d == 0), best)


def _same_shape(schedule: s_tir.Schedule, block: Any, consumer: Any) -> bool:
    """Whether the consumer's loops run over exactly the block's output, element by element."""
    written = schedule.get(block).writes[0].source
    body = schedule.get(consumer)
    extents = [int(v.dom.extent) for v in body.iter_vars]
    if extents != [int(extent) for extent in written.ty.shape] or not _is_spatial(schedule, consumer):
        return False
    reads = [read for read in body.reads if read.source.same_as(written)]
    return all(
        extent == 1 or region.min.same_as(v.var)
        for read in reads
        for extent, region, v in zip(extents, read.region, body.iter_vars, strict=True)
    )


def _reads_contiguously(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether some operand is contiguous along the innermost output axis, so that lanes load as vectors."""
    body = schedule.get(block)
    innermost = [v.var for v in body.iter_vars if v.iter_type == 0][-1]
    return any(
        read.region and _mentions(read.region[-1].min, innermost)
        for read in body.reads
        if not read.source.same_as(body.writes[0].source)
    )


def _mentions(expression: Any, variable: tirx.Var) -> bool:
    found = False

    def visit(var: tirx.Var) -> None:
        nonlocal found
        found = found or var.same_as(variable)

    structural_walk(expression, [(tirx.Var, visit)])
    return found
