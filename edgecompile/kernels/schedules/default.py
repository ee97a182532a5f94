"""The default schedule: inline what is elementwise, compute reductions in register tiles.

A reduction (conv, gemm, pool, mean) is computed for a tile of `rows x columns` outputs at a time: columns
are the innermost output axis and become vector lanes, rows are unrolled, the accumulators stay in registers
and the epilogue (bias, activation, residual) is applied to the tile before it is stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import Call
from tvm_ffi.structural import structural_walk

from edgecompile.core.target import Isa
from edgecompile.kernels import compute_depthwise, compute_gemm, compute_winograd
from edgecompile.kernels.intrinsics.depthwise import find_depthwise_kernel
from edgecompile.kernels.intrinsics.select import find_kernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.contraction import expand_contraction
from edgecompile.kernels.schedules.definition import find_plan, result_of, take_apart
from edgecompile.kernels.schedules.depthwise import expand_depthwise
from edgecompile.kernels.schedules.elementwise import vectorize_elementwise
from edgecompile.kernels.schedules.expressions import mentions
from edgecompile.kernels.schedules.implicit_gemm import expand_implicit_gemm
from edgecompile.kernels.schedules.transpose import expand_transposition
from edgecompile.kernels.schedules.winograd import expand_winograd

_REDUCE = 2  # tirx.IterVar.CommReduce
_MAX_VECTORS = 4
# How many blocks a definition consists of, by the kind of its plan.
_STEPS = {compute_gemm.PLAN: 1, compute_depthwise.PLAN: 1, compute_winograd.PLAN: compute_winograd.STEPS}
# What a first-level cache and a good part of the next one hold.
_NEAR_BYTES = 128 * 1024
_CACHE_LINE_BYTES = 64
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
    planned = _expand_plan(function, schedule, isa)
    if planned is not None:
        return planned
    expanded = _expand_by_hand(function, schedule, isa)
    if expanded is not None:
        return expanded
    names = [schedule.get(b).name_hint for b in _blocks(schedule) if _is_reduction(schedule, b)]
    machine = Machine.of(isa)
    for name in names:
        schedule = _try_tiling(schedule, name, machine)
    for block in _blocks(schedule):
        if _is_spatial(schedule, block) and len(schedule.get_loops(block)) == len(
            schedule.get(block).iter_vars
        ):
            vectorize_elementwise(schedule, block, _store_lanes(schedule, block, machine))
    return schedule.mod["main"]


def _store_lanes(schedule: s_tir.Schedule, block: Any, machine: Machine) -> int:
    """Lanes of a vector for a block's result: small elements fill a register of 16 bytes at least."""
    element = tvm_ffi.dtype(str(schedule.get(block).writes[0].source.ty.dtype))
    return max(machine.lanes, 128 // int(element.bits)) if machine.lanes > 1 else 1


def _expand_plan(function: tirx.PrimFunc, schedule: s_tir.Schedule, isa: Isa) -> tirx.PrimFunc | None:
    """The function by loops of its own; None where there is no plan or more than an epilogue."""
    blocks = _blocks(schedule)
    for key, steps in _STEPS.items():
        found = find_plan(schedule, blocks, key)
        if found is None:
            continue
        block, text = found
        consumers = schedule.get_consumers(block)
        if len(blocks) != steps + len(consumers) or len(consumers) > 1:
            return None
        if consumers and not _same_shape(schedule, block, consumers[0]):
            return None
        definition = take_apart(schedule, block, consumers[0] if consumers else None)
        if definition is None:
            return None
        if key == compute_gemm.PLAN:
            gemm = compute_gemm.GemmPlan.load(text)
            return expand_implicit_gemm(function, definition, gemm, find_kernel(gemm.kernel, isa))
        if key == compute_winograd.PLAN:
            winograd = compute_winograd.WinogradPlan.load(text)
            return expand_winograd(function, definition, winograd, find_kernel(winograd.product.kernel, isa))
        plan = compute_depthwise.DepthwisePlan.load(text)
        return expand_depthwise(function, definition, plan, find_depthwise_kernel(plan.kernel, isa))
    return None


def _expand_by_hand(function: tirx.PrimFunc, schedule: s_tir.Schedule, isa: Isa) -> tirx.PrimFunc | None:
    """A transposition or a product of two matrices by loops of its own; None for anything else."""
    blocks = _blocks(schedule)
    if not 1 <= len(blocks) <= 2:
        return None
    block, consumers = blocks[0], schedule.get_consumers(blocks[0])
    if len(blocks) == 1 and _is_spatial(schedule, block):
        return expand_transposition(function, schedule.get(block), isa)
    if not _is_reduction(schedule, block) or len(blocks) != 1 + len(consumers):
        return None
    if consumers and not _same_shape(schedule, block, consumers[0]):
        return None
    result, epilogue = result_of(schedule, block, consumers[0] if consumers else None)
    return expand_contraction(function, schedule.get(block), result, epilogue, isa)


def _try_tiling(schedule: s_tir.Schedule, name: str, machine: Machine) -> s_tir.Schedule:
    """The schedule with block `name` tiled, or as it was when its shape does not allow that."""
    trial = s_tir.Schedule(schedule.mod)
    try:
        _tile_reduction(trial, trial.get_sblock(name), machine)
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


def _tile_reduction(schedule: s_tir.Schedule, block: Any, machine: Machine) -> None:
    """Compute `block` tile by tile, inside the loops of the one block that reads it."""
    consumers = schedule.get_consumers(block)
    reads_whole = len(consumers) == 1 and _same_shape(schedule, block, consumers[0])
    if (consumers and not reads_whole) or all(v.iter_type for v in schedule.get(block).iter_vars):
        return
    epilogue = consumers[0] if consumers else schedule.cache_write(block, 0, "global")
    loops = schedule.get_loops(epilogue)
    extents = [int(schedule.get(loop).extent) for loop in loops]
    if not loops or extents[-1] == 0:
        return
    lanes = machine.lanes if _reads_contiguously(schedule, block) else 1
    tile = choose_tile(extents[-2] if len(extents) > 1 else 1, extents[-1], replace(machine, lanes=lanes))
    column_outer, columns = schedule.split(loops[-1], [None, tile.columns])
    outer, inner = [*loops[:-1], column_outer], [columns]
    if len(loops) > 1:
        row_outer, rows = schedule.split(loops[-2], [None, tile.rows])
        outer, inner = [*loops[:-2], row_outer, column_outer], [rows, columns]
    if _weight_bytes(schedule, block) > _NEAR_BYTES and 4 * tile.columns >= _CACHE_LINE_BYTES:
        # Weights that do not stay near the core are read once, the smaller activations again and again;
        # unless that would fetch every line of them several times for narrow columns.
        outer = [outer[-1], *outer[:-1]]
    schedule.reorder(*outer, *inner)
    schedule.compute_at(block, outer[-1], preserve_unit_loops=True)
    _finish_tile(schedule, block, len(outer), lanes)
    _unroll_tile(schedule, inner, lanes)


def _weight_bytes(schedule: s_tir.Schedule, block: Any) -> int:
    """Bytes of a full weight operand: one element for each reduction step and each column."""
    variables = schedule.get(block).iter_vars
    reduced = math.prod(int(v.dom.extent) for v in variables if v.iter_type == _REDUCE)
    columns = [int(v.dom.extent) for v in variables if v.iter_type == 0][-1]
    return 4 * reduced * columns


def _finish_tile(schedule: s_tir.Schedule, block: Any, depth: int, lanes: int) -> None:
    """Order the block's own loops: reductions outside, rows unrolled, columns as lanes."""
    own = schedule.get_loops(block)[depth:]
    kinds = [v.iter_type for v in schedule.get(block).iter_vars]
    spatial = [loop for loop, kind in zip(own, kinds, strict=True) if kind == 0]
    reduction = [loop for loop, kind in zip(own, kinds, strict=True) if kind == _REDUCE]
    schedule.reorder(*reduction, *spatial)
    _unroll_tile(schedule, spatial, lanes)
    schedule.decompose_reduction(block, reduction[0])


def _unroll_tile(schedule: s_tir.Schedule, loops: list[Any], lanes: int) -> None:
    """Unroll the loops of a tile; the innermost becomes vectors of `lanes`, or one of fewer."""
    if lanes > 1:
        extent = int(schedule.get(loops[-1]).extent)
        vectors, vector = schedule.split(loops[-1], [None, min(extent, lanes)])
        schedule.vectorize(vector)
        loops = [*loops[:-1], vectors]
    for loop in loops:
        schedule.unroll(loop)


def choose_tile(rows: int, columns: int, machine: Machine) -> Tile:
    """The register tile for an output of `rows x columns` (the two innermost extents).

    One step of the reduction loads `columns` weights and `rows` activations and needs an instruction for each
    pair of an activation and a vector of weights. The tile that needs the fewest cycles for each output wins,
    by a machine that runs `in_flight` such instructions at a time (fewer leave it waiting) and whose loads
    cost half as much; among equals the smaller one.
    """

    def cycles(tile: Tile) -> float:
        vectors = -(-tile.columns // machine.lanes)
        instructions = max(tile.rows * vectors, machine.in_flight)
        return (instructions + 0.5 * (tile.rows + vectors)) / (tile.rows * tile.columns)

    def fits(tile: Tile) -> bool:
        vectors = -(-tile.columns // machine.lanes)
        return tile.rows * vectors + vectors + 1 <= machine.registers

    widths = _divisors(columns, _MAX_VECTORS * machine.lanes)
    # Whole vectors, or one vector of a width that the machine has.
    whole = [width for width in widths if width % machine.lanes == 0 or width.bit_count() == 1]
    tiles = [Tile(row, column) for row in _divisors(rows, machine.registers) for column in whole]
    fitting = [tile for tile in tiles if fits(tile)] or [Tile(1, 1)]
    return min(fitting, key=lambda tile: (round(cycles(tile), 4), tile.rows * tile.columns, tile.rows))


def _divisors(extent: int, limit: int) -> list[int]:
    return [d for d in range(1, min(extent, limit) + 1) if extent % d == 0]


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
        read.region and mentions(read.region[-1].min, innermost)
        for read in body.reads
        if not read.source.same_as(body.writes[0].source)
    )
