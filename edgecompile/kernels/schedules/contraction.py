"""Products of two matrices that are both computed at run time, by the micro-kernel.

for each pair of matrices, for a block of rows:        (the loop that threads share)
    for a tile of columns:
        pack that part of the right matrix, unless it is read where it is
        for a tile of rows:
            the micro-kernel, the epilogue, and the store
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx
from tvm.ir.expr import TensorLoad
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.compute import unflatten
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.loops import choose, lane_loop, local, span
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr
from edgecompile.kernels.products import Matrix, Panels, multiply_rows, product_kernel
from edgecompile.kernels.schedules.expressions import mentions, substitute, with_loops
from edgecompile.kernels.schedules.gemm_plan import choose_register_tile, register_tiles
from edgecompile.kernels.schedules.loop_plan import LoopPlan

# Products with fewer multiplications are left to the general schedule.
_LEAST_PRODUCTS = 4096
_FLOATS = ("float32", "float64")
# A right matrix larger than the first cache is packed when at least so many tiles of rows read it.
_PACKED_FROM = 4
_BYTES = 4
_TASKS_PER_THREAD = 8
# What a plan may ask for.
_PACKED, _IN_PLACE = "packed", "in place"


@dataclass(frozen=True)
class Factor:
    """An operand as an expression of the loop variables; `at` has values in the place of some of them."""

    value: Any
    variables: tuple[Any, ...]

    def at(self, values: Sequence[Expr]) -> Expr:
        return substitute(self.value, self.variables, values)

    def mentions(self, variable: Any) -> bool:
        return mentions(self.value, variable)

    def runs_along(self, variable: Any) -> bool:
        """Whether neighbours in `variable` are neighbours in memory, and nothing is computed from them."""
        if not isinstance(self.value, TensorLoad):
            return False
        *outer, last = self.value.indices
        return last.same_as(variable) and not any(mentions(index, variable) for index in outer)

    def vector(self, values: Sequence[Expr], lanes: int) -> Expr:
        """`lanes` neighbours of an operand that runs along the variable of the last index."""
        if lanes == 1:
            return self.at(values)
        *outer, last = [substitute(index, self.variables, values) for index in self.value.indices]
        return tirx.BufferLoad(self.value.source, [*outer, span(last, lanes)])


@dataclass(frozen=True)
class Contraction:
    """The sum over `depth` of left * right; variables of both are the spatial ones, then that of the sum.

    The last spatial axis (columns) is not in `left`, the one before (rows) not in `right`.
    """

    left: Factor
    right: Factor
    extents: tuple[int, ...]
    depth: int
    dtype: str


def find_contraction(block: Any) -> Contraction | None:
    """What a reduction block computes, if that is a product of matrices of floats."""
    spatial = [v for v in block.iter_vars if v.iter_type == tirx.IterVar.DataPar]
    summed = [v for v in block.iter_vars if v.iter_type == tirx.IterVar.CommReduce]
    dtype, value = str(block.writes[0].source.ty.dtype), getattr(block.body, "value", None)
    product = value.b if isinstance(value, tirx.Add) else None
    if not isinstance(product, tirx.Mul) or len(spatial) < 2 or len(summed) != 1 or dtype not in _FLOATS:
        return None
    variables = tuple(v.var for v in (*spatial, *summed))
    row, column = variables[-3], variables[-2]
    factors = [Factor(factor, variables) for factor in (product.a, product.b)]
    for left, right in (factors, factors[::-1]):
        if not left.mentions(column) and not right.mentions(row):
            extents = tuple(int(v.dom.extent) for v in spatial)
            return Contraction(left, right, extents, int(summed[0].dom.extent), dtype)
    return None


def expand_contraction(
    function: tirx.PrimFunc,
    block: Any,
    result: Any,
    epilogue: Callable[[Sequence[Expr], Expr], Expr],
    isa: Isa,
    plan: LoopPlan,
) -> tirx.PrimFunc | None:
    """`function`, which has only this block and its epilogue, by loops of its own; None where it stays."""
    found = _find_worth(block, isa)
    if found is None:
        return None
    return with_loops(function, lambda: _Emitter(found, result, epilogue, isa, plan).emit())


def contraction_plans(block: Any, isa: Isa) -> list[LoopPlan]:
    """The tiles and forms of the right matrix that are worth measuring; none where `block` is no product."""
    found = _find_worth(block, isa)
    if found is None:
        return []
    *_, m, n = found.extents
    kernel = _kernel(found, isa)
    forms = (_PACKED, _IN_PLACE) if _can_stay(found, kernel) else (_PACKED,)
    tiles = register_tiles(kernel, Machine.of(isa), m, n)
    return [LoopPlan(rows, columns, form=form) for rows, columns in tiles for form in forms]


def _find_worth(block: Any, isa: Isa) -> Contraction | None:
    """A product that is large enough, for an instruction set with vectors."""
    found = find_contraction(block) if isa.vector_bits else None
    if found is None:
        return None
    *_, rows, columns = found.extents
    small = min(rows, columns, found.depth) < 2 or rows * columns * found.depth < _LEAST_PRODUCTS
    return None if small else found


def _kernel(task: Contraction, isa: Isa) -> MicroKernel:
    kernel = product_kernel(isa, task.dtype)
    if isinstance(kernel, MultiplyAdd) and not task.left.runs_along(task.left.variables[-1]):
        return replace(kernel, by_lane=False)
    return kernel


def _can_stay(task: Contraction, kernel: MicroKernel) -> bool:
    """Whether the right matrix can be read where it is."""
    return task.right.runs_along(task.left.variables[-2]) and task.extents[-1] % kernel.lanes == 0


class _Emitter:
    def __init__(
        self,
        task: Contraction,
        result: Any,
        epilogue: Callable[[Sequence[Expr], Expr], Expr],
        isa: Isa,
        plan: LoopPlan,
    ) -> None:
        self.task, self.epilogue = task, epilogue
        self.result = T.buffer_proxy(result)
        *self.batch, self.m, self.n = task.extents
        self.row, self.column, self.k = task.left.variables[-3:]
        self.kernel = _kernel(task, isa)
        machine = Machine.of(isa)
        rows, tile = choose_register_tile(self.kernel, machine, self.m, self.n, task.depth)
        self.rows, self.tile = plan.rows or rows, plan.columns or tile
        again = self.m >= _PACKED_FROM * self.rows and task.depth * self.n * _BYTES > machine.l1_bytes
        packs = again if plan.form is None else plan.form == _PACKED
        self.packs = packs or not _can_stay(task, self.kernel)
        self.block = self._rows_of_a_task(machine.threads)

    def _rows_of_a_task(self, threads: int) -> int:
        """Rows that one thread computes at a time: all on one thread, else enough for equal shares."""
        if threads == 1:
            return self.m
        tasks = -(-_TASKS_PER_THREAD * threads // math.prod(self.batch))
        tiles = -(-self.m // (tasks * self.rows))
        least = _PACKED_FROM if self.packs else 1
        return min(self.m, max(tiles, least) * self.rows)

    def emit(self) -> None:
        """All products, in blocks of rows."""
        blocks, matrices = -(-self.m // self.block), math.prod(self.batch)
        whole, left = divmod(self.m, self.block)
        with T.parallel(0, matrices * blocks) if matrices * blocks > 1 else nullcontext(0) as task:
            matrix, block = tirx.indexdiv(task, blocks), tirx.indexmod(task, blocks)
            batch = unflatten(matrix, self.batch) if self.batch else []
            first = block * self.block
            choose(
                [block < whole] if left else [],
                lambda: self._rows(batch, first, self.block),
                lambda: self._rows(batch, first, left),
            )

    def _rows(self, batch: Sequence[Expr], first: Expr, count: int) -> None:
        """All columns of `count` rows from `first` on."""
        whole, left = divmod(self.n, self.tile)
        if whole:
            with T.serial(0, whole) as step:
                self._columns(batch, first, count, step * self.tile, self.tile)
        if left:
            self._columns(batch, first, count, whole * self.tile, left)

    def _columns(self, batch: Sequence[Expr], first_row: Expr, rows: int, first: Expr, count: int) -> None:
        """`rows` rows of `count` columns from `first_row` and `first` on."""
        left = self.task.left

        def data(row: Expr, k: Expr, lanes: int) -> Expr:
            return left.vector([*batch, first_row + row, 0, k], lanes)

        def store(row: Expr, column: Expr, lanes: int, total: Callable[[Expr], Expr]) -> None:
            with lane_loop(lanes) as lane:
                index = (*batch, first_row + row, first + column + lane)
                self.result[index] = self.epilogue(index, total(lane))

        matrix = self._packed(batch, first, count) if self.packs else self._in_place(batch, first, count)
        multiply_rows(self.kernel, self.rows, rows, data, matrix, store)

    def _in_place(self, batch: Sequence[Expr], first: Expr, count: int) -> Matrix:
        right = self.task.right

        def element(k: Expr, column: Expr, lanes: int) -> Expr:
            return right.vector([*batch, 0, first + column, k], lanes)

        return Matrix.in_place(self.task.depth, count, self.tile, element)

    def _packed(self, batch: Sequence[Expr], first: Expr, count: int) -> Matrix:
        """Packed along the axis in which its elements are neighbours."""
        depth, right = self.task.depth, self.task.right
        panels = Panels(depth, count, self.tile, self.kernel.lanes)
        buffer = local(panels.elements, self.task.dtype)
        if right.runs_along(self.k):
            with T.serial(0, count) as column:
                panels.pack_column(buffer, column, lambda k: right.at([*batch, 0, first + column, k]))
        else:
            with T.serial(0, depth) as k:
                panels.pack_row(buffer, k, lambda column: right.at([*batch, 0, first + column, k]))
        panels.clear_padding(buffer)
        return panels.matrix(buffer)
