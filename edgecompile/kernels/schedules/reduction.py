"""Reductions in register tiles: columns are vector lanes, rows are unrolled, sums stay in registers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tvm import s_tir
from tvm.tirx import IterVar

from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.blocks import same_shape
from edgecompile.kernels.schedules.expressions import mentions
from edgecompile.kernels.schedules.loop_plan import LoopPlan, Order

_MAX_VECTORS = 4
# What a first-level cache and a good part of the next one hold.
_NEAR_BYTES = 128 * 1024
_CACHE_LINE_BYTES = 64
# More steps of a reduction than this are not written out.
_MAX_UNROLLED = 32
# With more rows, the addresses of what a lane-wise tile reads no longer fit instructions.
_MAX_LANEWISE_ROWS = 16


@dataclass(frozen=True)
class Tile:
    """Register tile in output elements."""

    rows: int
    columns: int


def try_tiling(schedule: s_tir.Schedule, name: str, machine: Machine, plan: LoopPlan) -> s_tir.Schedule:
    """The schedule with block `name` tiled, or as it was when its shape does not allow that."""
    trial = s_tir.Schedule(schedule.mod)
    try:
        _tile_reduction(trial, trial.get_sblock(name), machine, plan)
    except s_tir.ScheduleError:
        return schedule
    return trial


def reduction_plans(schedule: s_tir.Schedule, block: Any, machine: Machine) -> list[LoopPlan]:
    """The tiles, orders and unrolled steps worth measuring for `block`; none where it has no tile."""
    written = [int(extent) for extent in schedule.get(block).writes[0].source.ty.shape]
    if not _is_tiled(schedule, block) or not written or written[-1] == 0:
        return []
    lanes = machine.lanes if _reads_contiguously(schedule, block) else 1
    rows = written[-2] if len(written) > 1 else 1
    tiles = register_tiles(rows, written[-1], replace(machine, lanes=lanes))
    orders: tuple[Order, ...] = ("rows", "columns", "lines") if len(written) > 1 else ("rows",)
    return [
        LoopPlan(tile.rows, tile.columns, order, unroll)
        for tile in tiles
        for order in (orders if tile.columns < written[-1] else orders[:1])
        for unroll in _unrolled(schedule, block)
    ]


def _is_tiled(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether `block` writes a result of some extent that is read, if at all, by one block of that shape."""
    consumers = schedule.get_consumers(block)
    reads_whole = len(consumers) == 1 and same_shape(schedule, block, consumers[0])
    return not (consumers and not reads_whole) and not all(v.iter_type for v in schedule.get(block).iter_vars)


def _unrolled(schedule: s_tir.Schedule, block: Any) -> list[int]:
    """How many steps of the reduction may be written out: whole loops, from the innermost on."""
    found = [1]
    for variable in reversed(schedule.get(block).iter_vars):
        if variable.iter_type == IterVar.CommReduce:
            found.append(found[-1] * int(variable.dom.extent))
    return sorted({steps for steps in found if steps <= _MAX_UNROLLED})


def _tile_reduction(schedule: s_tir.Schedule, block: Any, machine: Machine, plan: LoopPlan) -> None:
    """Compute `block` tile by tile, inside the loops of the one block that reads it."""
    if not _is_tiled(schedule, block):
        return
    consumers = schedule.get_consumers(block)
    epilogue = consumers[0] if consumers else schedule.cache_write(block, 0, "global")
    loops = schedule.get_loops(epilogue)
    extents = [int(schedule.get(loop).extent) for loop in loops]
    if not loops or extents[-1] == 0:
        return
    lanes = machine.lanes if _reads_contiguously(schedule, block) else 1
    lanewise = _is_lanewise(schedule, block)
    sizes = (extents[-2] if len(extents) > 1 else 1, extents[-1])
    usual = choose_tile(*sizes, replace(machine, lanes=lanes), lanewise)
    tile = Tile(plan.rows or usual.rows, plan.columns or usual.columns)
    column_outer, columns = schedule.split(loops[-1], [None, tile.columns])
    outer, inner = [*loops[:-1], column_outer], [columns]
    if len(loops) > 1:
        row_outer, rows = schedule.split(loops[-2], [None, tile.rows])
        outer, inner = [*loops[:-2], row_outer, column_outer], [rows, columns]
    outer = _in_order(outer, plan.order or _choose_order(schedule, block, tile, lanewise))
    schedule.reorder(*outer, *inner)
    schedule.compute_at(block, outer[-1], preserve_unit_loops=True)
    unroll = plan.unroll or (max(_unrolled(schedule, block)) if lanewise else 1)
    _finish_tile(schedule, block, len(outer), lanes, unroll)
    _unroll_tile(schedule, inner, lanes)


def _choose_order(schedule: s_tir.Schedule, block: Any, tile: Tile, lanewise: bool) -> Order:
    """Weights that do not stay near the core are read once, the smaller activations again and again.

    So are those of a lane-wise tile, where they stay in registers. Unless that would fetch every line of the
    activations several times for narrow columns.
    """
    once = lanewise or _weight_bytes(schedule, block) > _NEAR_BYTES
    return "columns" if once and 4 * tile.columns >= _CACHE_LINE_BYTES else "rows"


def _in_order(outer: list[Any], order: Order) -> list[Any]:
    """The loops over tiles, of which the last is over columns, in another order."""
    if order == "rows":
        return outer
    if order == "columns":
        return [outer[-1], *outer[:-1]]
    return [*outer[:-2], outer[-1], *outer[-2:-1]]


def _weight_bytes(schedule: s_tir.Schedule, block: Any) -> int:
    """Bytes of a full weight operand: one element for each reduction step and each column."""
    columns = [int(v.dom.extent) for v in schedule.get(block).iter_vars if v.iter_type == 0][-1]
    return 4 * reduction_steps(schedule, block) * columns


def reduction_steps(schedule: s_tir.Schedule, block: Any) -> int:
    """How many elements are combined for each output."""
    variables = schedule.get(block).iter_vars
    return math.prod(int(v.dom.extent) for v in variables if v.iter_type == IterVar.CommReduce)


def _finish_tile(schedule: s_tir.Schedule, block: Any, depth: int, lanes: int, unroll: int) -> None:
    """Order the block's own loops: reductions outside, rows unrolled, columns as lanes."""
    own = schedule.get_loops(block)[depth:]
    kinds = [v.iter_type for v in schedule.get(block).iter_vars]
    spatial = [loop for loop, kind in zip(own, kinds, strict=True) if kind == IterVar.DataPar]
    reduction = [loop for loop, kind in zip(own, kinds, strict=True) if kind == IterVar.CommReduce]
    schedule.reorder(*reduction, *spatial)
    _unroll_tile(schedule, spatial, lanes)
    schedule.decompose_reduction(block, reduction[0])
    steps = 1
    for loop in reversed(reduction):
        steps *= int(schedule.get(loop).extent)
        if not 1 < steps <= unroll:
            continue
        schedule.unroll(loop)


def _unroll_tile(schedule: s_tir.Schedule, loops: list[Any], lanes: int) -> None:
    """Unroll the loops of a tile; the innermost becomes vectors of `lanes`, or one of fewer."""
    if lanes > 1:
        extent = int(schedule.get(loops[-1]).extent)
        vectors, vector = schedule.split(loops[-1], [None, min(extent, lanes)])
        schedule.vectorize(vector)
        loops = [*loops[:-1], vectors]
    for loop in loops:
        schedule.unroll(loop)


def choose_tile(rows: int, columns: int, machine: Machine, lanewise: bool = False) -> Tile:
    """The register tile for an output of `rows x columns` (the two innermost extents).

    One step of the reduction loads `columns` weights and `rows` activations and needs an instruction for each
    pair of an activation and a vector of weights. The tile that needs the fewest cycles for each output wins,
    by a machine that runs `in_flight` such instructions at a time (fewer leave it waiting) and whose loads
    cost half as much; among equals the smaller one.

    In a `lanewise` reduction, such as a depthwise convolution, every lane has activations of its own.
    """

    def cycles(tile: Tile) -> float:
        vectors = -(-tile.columns // machine.lanes)
        instructions = max(tile.rows * vectors, machine.in_flight)
        activations = tile.rows * (vectors if lanewise else 1)
        return (instructions + 0.5 * (activations + vectors)) / (tile.rows * tile.columns)

    tiles = register_tiles(rows, columns, machine)
    if lanewise:
        tiles = [tile for tile in tiles if tile.rows <= _MAX_LANEWISE_ROWS]
    return min(tiles, key=lambda tile: (round(cycles(tile), 4), tile.rows * tile.columns, tile.rows))


def register_tiles(rows: int, columns: int, machine: Machine) -> list[Tile]:
    """All tiles that divide an output of `rows x columns` and fit the registers; at least one."""

    def fits(tile: Tile) -> bool:
        vectors = -(-tile.columns // machine.lanes)
        return tile.rows * vectors + vectors + 1 <= machine.registers

    widths = _divisors(columns, _MAX_VECTORS * machine.lanes)
    # Whole vectors, or one vector of a width that the machine has.
    whole = [width for width in widths if width % machine.lanes == 0 or width.bit_count() == 1]
    tiles = [Tile(row, column) for row in _divisors(rows, machine.registers) for column in whole]
    return [tile for tile in tiles if fits(tile)] or [Tile(1, 1)]


def _divisors(extent: int, limit: int) -> list[int]:
    return [d for d in range(1, min(extent, limit) + 1) if extent % d == 0]


def _is_lanewise(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether every operand is another one for each element along the innermost output axis."""
    return all(_runs_along_columns(schedule, block))


def _reads_contiguously(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether some operand is contiguous along the innermost output axis, so that lanes load as vectors."""
    return any(_runs_along_columns(schedule, block))


def _runs_along_columns(schedule: s_tir.Schedule, block: Any) -> Iterator[bool]:
    """For each operand, whether its last index moves with the innermost output axis."""
    body = schedule.get(block)
    innermost = [v.var for v in body.iter_vars if v.iter_type == IterVar.DataPar][-1]
    for read in body.reads:
        if not read.source.same_as(body.writes[0].source):
            yield bool(read.region) and mentions(read.region[-1].min, innermost)
