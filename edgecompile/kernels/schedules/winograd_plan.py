"""The analytic choice between Winograd's algorithm, for each size of its tiles, and the implicit product.

Costs are in the cycles of `MicroKernel.cycles`: one vector multiply-add is 1, one vector load or store 0.5.
"""

from __future__ import annotations

import math

from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_gemm import GemmPlan, rows_of
from edgecompile.kernels.compute_winograd import WinogradPlan
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import Product, choose_register_tile, total_cycles
from edgecompile.kernels.winograd import TAPS, TILES, transform_of

# An algorithm with larger weights must need less than this part of the cycles of one with smaller ones.
_WORTH = 0.85
# What a vector of an input or output tile costs besides its arithmetic: addresses and conditions.
_PIECE_CYCLES = 16.0
# Bytes a cycle at which weights arrive from beyond the second cache.
_STREAM_BYTES = 6.0
# The parts of the second cache that weights may take to stay there, and that a block of tiles may take:
# little where weights stay, much where each further block would fetch them again.
_WEIGHTS_PART, _SMALL_PART, _LARGE_PART = 0.75, 0.125, 0.75
# Tiles of a block that make good use of a weight once it is in the first cache.
_MIN_BLOCK = 16
_FLOAT_BYTES = 4


def choose_winograd(
    kernel: MicroKernel, machine: Machine, product: Product, direct: GemmPlan
) -> WinogradPlan | None:
    """The best plan for `product`, which `direct` would compute otherwise; None where that is better."""
    window, best = product.window, None
    if window is None or not has_winograd_form(machine, product):
        return None
    least = direct_cycles(kernel, machine, product, direct)
    for tile in TILES:
        plan = plan_winograd(kernel, machine, product, window, tile)
        cycles = winograd_cycles(kernel, machine, product, plan)
        if cycles < _WORTH * least:
            least, best = cycles, plan
    return best


def winograd_cycles(kernel: MicroKernel, machine: Machine, product: Product, plan: WinogradPlan) -> float:
    """Estimated cycles of both transforms, the products, and fetching the weights, for all threads."""
    transform, inner = plan.transform, plan.product
    tiles, size, tile = math.prod(plan.tiles(product.shape)), transform.size, plan.tile
    matrices = size * size
    # Half-transformed tiles go through a buffer: lines first, then columns.
    read = transform.input_operations * 2 * size + 0.5 * 4 * matrices + _PIECE_CYCLES
    moved = matrices + 2 * size * tile + 4 * tile * tile
    write = transform.output_operations * (size + tile) + 0.5 * moved + _PIECE_CYCLES
    pieces = _pieces(inner.k, kernel.lanes) * read + _pieces(inner.n, kernel.lanes) * write
    products = matrices * total_cycles(kernel, tiles, inner.n, inner.depth, inner.rows, inner.columns)
    weights = _weight_cycles(machine, matrices * inner.group_elements)
    if machine.threads == 1:
        return tiles * pieces + products + weights
    blocks = -(-tiles // inner.block)
    busy, rounds = min(machine.threads, blocks), -(-blocks // machine.threads)
    idle = rounds * machine.threads * inner.block / tiles
    return (tiles * pieces + products) * idle + weights * busy


def direct_cycles(kernel: MicroKernel, machine: Machine, product: Product, plan: GemmPlan) -> float:
    """Estimated cycles of the implicit product: for lines, register tiles end with each of them.

    Threads are taken to share it equally.
    """
    width = product.shape[-2] if plan.source == "lines" else rows_of(product.shape)
    lines = rows_of(product.shape) // width
    copied = math.prod(product.extents) / kernel.lanes
    products = lines * total_cycles(kernel, width, plan.n, plan.depth, plan.rows, plan.columns)
    return products + copied + _weight_cycles(machine, plan.group_elements)


def plan_winograd(
    kernel: MicroKernel, machine: Machine, product: Product, window: Window, tile: int
) -> WinogradPlan:
    """The plan for tiles of `tile` x `tile`: the rows of a register tile, in blocks for all threads."""
    matrices, depth = transform_of(tile).size ** 2, product.k // TAPS**2
    images, height, width = product.shape[:3]
    total = images * -(-height // tile) * -(-width // tile)
    rows, columns = choose_register_tile(kernel, machine, total, product.n, depth)
    stays = _stays(machine, matrices * depth * product.n)
    near = int(machine.l2_bytes * (_SMALL_PART if stays else _LARGE_PART))
    most = max(_MIN_BLOCK, near // (matrices * (depth + columns) * _FLOAT_BYTES))
    share = -(-total // (machine.threads * rows)) * rows
    blocks = -(-total // max(rows, min(share, most // rows * rows)))
    inner = GemmPlan(
        kernel.name,
        "memory",
        product.n,
        depth,
        depth,
        kernel.group,
        kernel.lanes,
        rows,
        columns,
        min(total, -(-total // (blocks * rows)) * rows),
        matrices,
    )
    return WinogradPlan(tile, (window.pads[0], window.pads[1]), inner)


def has_winograd_form(machine: Machine, product: Product) -> bool:
    """Whether it applies: 3 x 3 without strides and dilations, one group; vectors, a cache for its tiles."""
    window, ones = product.window, (1, 1)
    if window is None or product.groups > 1 or machine.l1_bytes == 0 or machine.lanes == 1:
        return False
    return window.kernel == (TAPS, TAPS) and window.strides == ones and window.dilations == ones


def _stays(machine: Machine, weights: int) -> bool:
    """Whether that many weights stay in the second cache."""
    return weights * _FLOAT_BYTES <= machine.l2_bytes * _WEIGHTS_PART


def _weight_cycles(machine: Machine, weights: int) -> float:
    """Fetching weights once, where they do not stay near from the last time."""
    return 0.0 if _stays(machine, weights) else weights * _FLOAT_BYTES / _STREAM_BYTES


def _pieces(width: int, lanes: int) -> int:
    """Vectors that `width` elements are handled in; what is left over takes one for each power of two."""
    return width // lanes + (width % lanes).bit_count()
