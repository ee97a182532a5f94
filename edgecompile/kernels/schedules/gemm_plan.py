"""The analytic choice of a register tile and of the blocking for an implicit matrix product.

The model is the usual one of high performance matrix products (Goto and van de Geijn, "Anatomy of
High-Performance Matrix Multiplication", 2008): accumulators fill the registers, a tile of weights streams
from the nearest cache that holds it, and a block of rows is reused for all columns while it stays near.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_gemm import GemmPlan, Source, is_pointwise, rows_of
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.lines import real_axes

_MAX_ROWS = 24
_MAX_VECTORS = 8
# A block of fewer tiles would read all weights for too little work.
_MIN_BLOCK_TILES = 4
# Threads may be of different speed; several blocks for each even that out.
_BLOCKS_PER_THREAD = 4
# What a tile costs besides its multiply-adds, in cycles: loop control, and the epilogue of each vector.
_TILE_CYCLES = 8.0
_STORE_CYCLES = 1.5


@dataclass(frozen=True)
class Product:
    """What is to be computed: a result of `shape` from data of `extents`, both [N, *S, channels].

    `n` and `k` are for one of `groups` groups; `element_bytes` is the size of an element of the data.
    """

    shape: Sequence[int]
    extents: Sequence[int]
    n: int
    k: int
    element_bytes: int
    groups: int = 1
    window: Window | None = None
    pad: int = 0


def choose_plan_of(
    kernels: Sequence[MicroKernel], machine: Machine, product: Product, converts: bool = False
) -> GemmPlan:
    """The plan by the kernel that needs the fewest estimated cycles."""

    def cycles(kernel: MicroKernel) -> float:
        plan = plans[kernel.name]
        m = rows_of(product.shape)
        return total_cycles(kernel, m, product.n, plan.depth, plan.rows, plan.columns)

    plans = {kernel.name: choose_plan(kernel, machine, product, converts) for kernel in kernels}
    return plans[min(kernels, key=cycles).name]


def choose_plan(kernel: MicroKernel, machine: Machine, product: Product, converts: bool = False) -> GemmPlan:
    """The plan by the analytic model. `converts`: rows are stored in another element type than needed."""
    source = choose_source(kernel, machine, product, converts)
    depth = -(-product.k // kernel.group) * kernel.group
    if source == "lines":
        window, lines, width = line_window(product)
        rows, columns = choose_register_tile(kernel, machine, width, product.n, depth)
        block = _lines_near(machine, product, window, lines, width)
    else:
        m = rows_of(product.shape)
        rows, columns = choose_register_tile(kernel, machine, m, product.n, depth)
        shares_columns = source == "memory" and _shares_columns(machine, m, rows, product.n, columns)
        tiles = -(-m // rows)
        if not shares_columns:
            tiles = min(tiles, _tiles_near(machine, source, rows * depth * product.element_bytes))
            tiles = min(tiles, _tiles_each(machine, -(-m // rows)))
        block = tiles * rows
    return plan_product(kernel, product, source, rows, columns, block)


def plan_product(
    kernel: MicroKernel, product: Product, source: Source, rows: int, columns: int, block: int
) -> GemmPlan:
    """The plan for a tile of `rows` x `columns`, and `block` rows or lines at a time."""
    return GemmPlan(
        kernel.name,
        source,
        product.n,
        product.k,
        -(-product.k // kernel.group) * kernel.group,
        kernel.group,
        kernel.lanes,
        rows,
        columns,
        block,
        product.groups,
        product.window,
        product.pad,
    )


def _tiles_near(machine: Machine, source: Source, tile_bytes: int) -> int:
    """Tiles of rows that stay near: gathered rows in the first cache, others in a part of the second."""
    near = machine.l1_bytes // 2 if source == "gather" else machine.l2_bytes // 4
    return max(_MIN_BLOCK_TILES if machine.l1_bytes else 1, near // tile_bytes)


def _tiles_each(machine: Machine, tiles: int) -> int:
    """The most tiles of rows for a block, so that all threads get enough blocks for equal shares."""
    if machine.threads == 1:
        return tiles
    return max(1, tiles // (_BLOCKS_PER_THREAD * machine.threads))


def _shares_columns(machine: Machine, m: int, rows: int, n: int, columns: int) -> bool:
    """Whether threads had better share tiles of columns: there are more of them than of rows."""
    return machine.threads > 1 and -(-n // columns) > -(-m // rows)


def choose_source(kernel: MicroKernel, machine: Machine, product: Product, converts: bool) -> Source:
    """Where rows come from: as little copying as the micro-kernel and the memory allow."""
    window, group = product.window, kernel.group
    channels = product.extents[-1] // product.groups
    if window is None or (is_pointwise(window) and product.groups == 1):
        return "gather" if converts or product.k % group else "memory"
    line, *_ = line_window(product)
    joined = line.dilations[-1] == 1 and product.groups == 1
    run = channels * line.kernel[-1] if joined else channels
    if converts or run % group or line.rank > 2 or min(*window.pads, *window.ends) < 0:
        return "gather"
    padded = any(window.pads) or any(window.ends)
    # Without a cache there is no RAM to spare for whole lines either.
    return "gather" if padded and machine.l1_bytes == 0 else "lines"


def line_window(product: Product) -> tuple[Window, int, int]:
    """The window along the real spatial axes, the output lines of an image, the outputs of a line."""
    assert product.window is not None
    axes = real_axes(product.window, product.extents[1:-1])
    if not axes:
        return Window.trivial(1), 1, 1
    outputs = [product.shape[1 + axis] for axis in axes]
    return product.window.along(axes), math.prod(outputs[:-1]), outputs[-1]


def _lines_near(machine: Machine, product: Product, window: Window, lines: int, width: int) -> int:
    """Output lines whose input lines stay in half of the first cache; a divisor of an image's `lines`."""
    positions = width * window.strides[-1] + (window.kernel[-1] - 1) * window.dilations[-1]
    line = positions * product.extents[-1] * product.element_bytes
    if window.rank == 1:
        return 1
    reach = (window.kernel[0] - 1) * window.dilations[0]
    near = (machine.l1_bytes // 2 // line - reach) // window.strides[0]
    most = max(1, min(near, _tiles_each(machine, lines)))
    return max(size for size in range(1, most + 1) if lines % size == 0)


def choose_register_tile(
    kernel: MicroKernel, machine: Machine, m: int, n: int, depth: int
) -> tuple[int, int]:
    """(rows, columns) of the tile that computes all of m x n in the fewest estimated cycles."""
    candidates = register_tiles(kernel, machine, m, n)
    return min(candidates, key=lambda tile: (total_cycles(kernel, m, n, depth, *tile), tile))


def register_tiles(kernel: MicroKernel, machine: Machine, m: int, n: int) -> list[tuple[int, int]]:
    """All (rows, columns) whose accumulators and operands fit the registers; at least one."""
    lanes = kernel.lanes
    candidates = [
        (rows, vectors * lanes)
        for rows in range(1, min(m, _MAX_ROWS) + 1)
        for vectors in range(1, min(-(-n // lanes), _MAX_VECTORS) + 1)
        if kernel.registers(rows, vectors * lanes) <= machine.registers
    ]
    return candidates or [(1, lanes)]


def total_cycles(kernel: MicroKernel, m: int, n: int, depth: int, rows: int, columns: int) -> float:
    """Estimated cycles for all tiles; those at the edges are smaller."""
    full_rows, last_rows = divmod(m, rows)
    full_columns, left = divmod(n, columns)
    last_columns = -(-left // kernel.lanes) * kernel.lanes

    def tile(r: int, c: int) -> float:
        if r == 0 or c == 0:
            return 0.0
        stores = _STORE_CYCLES * r * c / kernel.lanes
        return depth / kernel.group * kernel.cycles(r, c) + stores + _TILE_CYCLES

    along = full_columns * tile(rows, columns) + tile(rows, last_columns)
    below = full_columns * tile(last_rows, columns) + tile(last_rows, last_columns)
    return round(full_rows * along + below, 1)
