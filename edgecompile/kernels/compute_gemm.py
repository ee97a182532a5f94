"""Convolutions and matrix products with constant weights, as one reduction over packed weights.

All of them are the product of a matrix of rows (one for each output position: the elements under the window,
taps outside, channels inside) and a matrix of weights [K, N]. Weights are packed for the micro-kernel that
will read them, tile by tile of output channels. The definition carries a `GemmPlan`, by which
schedules/implicit_gemm.py replaces it; computed as it stands it gives the same numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from tvm import te, tirx

from edgecompile.kernels.compact import nibble, pack_nibbles, widened
from edgecompile.kernels.compute import (
    Layout,
    Tensor,
    Window,
    element_type,
    padded_reader,
    reduce_axes,
    shape_of,
)
from edgecompile.kernels.math import Expr, cast

Source = Literal["memory", "lines", "gather"]
PLAN = "edgecompile.gemm"
# The name of the packed weights among a kernel's parameters; schedules find them by it.
PACKED = "packed"
# The name of the scales of weights of 4 bits.
SCALES = "scales"


@dataclass(frozen=True)
class GemmPlan:
    """How a product of M x K rows and K x N weights is computed; N and K are for one of `groups` groups.

    A register tile is `rows` x `columns`, by the micro-kernel `kernel`. Weights are packed as tiles of
    `columns`, each [K / group, columns, group] with K rounded up to `depth`; the last tile has only as many
    columns as are left, rounded up to `lanes`. `window` is None for a plain product. `pad` is what lies
    outside of the input.

    `source` says where rows come from, `block` how many of them (in units of output lines for "lines") are
    worked on at a time:
    "memory"  they are rows in memory as they are;
    "lines"   an output line's windows are read from the lines of the input, which are copied first if padded;
    "gather"  each row is gathered from its window.

    With `scale_block`, weights are integers of 4 bits, and each column has a scale for so many k.
    """

    # What was free to choose.
    KNOBS: ClassVar[tuple[str, ...]] = ("kernel", "source", "rows", "columns", "block")

    kernel: str
    source: Source
    n: int
    k: int
    depth: int
    group: int
    lanes: int
    rows: int
    columns: int
    block: int
    groups: int = 1
    window: Window | None = None
    pad: int = 0
    scale_block: int = 0

    @property
    def scales(self) -> GemmPlan:
        """How scales are packed: like weights, with a k for each block."""
        blocks = -(-self.k // self.scale_block)
        return replace(self, k=blocks, depth=blocks, group=1, scale_block=0)

    @property
    def tiles(self) -> int:
        """Tiles of columns, the last one included."""
        return -(-self.n // self.columns)

    @property
    def last_columns(self) -> int:
        """Columns of the last tile, a multiple of `lanes`."""
        left = self.n - (self.tiles - 1) * self.columns
        return -(-left // self.lanes) * self.lanes

    @property
    def group_elements(self) -> int:
        """Packed weights of one group."""
        return self.depth * ((self.tiles - 1) * self.columns + self.last_columns)

    def dump(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def load(text: str) -> GemmPlan:
        fields = json.loads(text)
        if fields["window"] is not None:
            fields["window"] = Window(**{name: tuple(value) for name, value in fields["window"].items()})
        return GemmPlan(**fields)


def pack_gemm_weights(weights: np.ndarray, plan: GemmPlan) -> np.ndarray:
    """Weights [groups * N, K], channels of a group side by side, packed for `plan` into one dimension."""
    grouped = weights.reshape(plan.groups, plan.n, plan.k)
    padded = np.pad(grouped, ((0, 0), (0, -plan.n % plan.lanes), (0, plan.depth - plan.k)))
    steps = padded.reshape(plan.groups, -1, plan.depth // plan.group, plan.group).swapaxes(1, 2)
    tiles = [steps[:, :, first : first + plan.columns] for first in range(0, plan.n, plan.columns)]
    return np.concatenate([tile.reshape(plan.groups, -1) for tile in tiles], axis=1).reshape(-1)


def packed_index(plan: GemmPlan, group: Expr, column: Expr, k: Expr) -> Expr:
    """Where the weight of output `column` (within its group) and `k` lies among the packed ones."""
    tile, within = tirx.indexdiv(column, plan.columns), tirx.indexmod(column, plan.columns)
    width = plan.columns
    if plan.last_columns != plan.columns:
        width = tirx.Select(tile < plan.tiles - 1, plan.columns, plan.last_columns)
    step, lane = tirx.indexdiv(k, plan.group), tirx.indexmod(k, plan.group)
    return (
        group * plan.group_elements
        + tile * (plan.columns * plan.depth)
        + (step * width + within) * plan.group
        + lane
    )


def packed_conv(
    data: Tensor, weights: Tensor, plan: GemmPlan, shape: Sequence[int], accumulator: str
) -> Tensor:
    """Channels-last convolution of [N, *S, C] into `shape` [N, *OS, O] by weights packed for `plan`."""
    window = plan.window
    assert window is not None
    layout = Layout(channels_last=True)
    _, extents, _ = layout.split(shape)
    channels = shape_of(data)[-1] // plan.groups
    read = padded_reader(data, layout, window, extents, tirx.const(plan.pad, element_type(data)))
    taps, depth = reduce_axes(window.kernel, "k"), te.reduce_axis((0, channels), "c")

    def element(*index: Expr) -> Expr:
        batch, position, output = layout.split(index)
        group, column = tirx.indexdiv(output, plan.n), tirx.indexmod(output, plan.n)
        k: Expr = 0
        for tap, extent in zip(taps, window.kernel, strict=True):
            k = k * extent + tap
        value = read(batch, window.position(position, taps), group * channels + depth)
        weight = weights(packed_index(plan, group, column, k * channels + depth))
        return te.sum(cast(value, accumulator) * _weight(weight, accumulator), axis=[*taps, depth])

    return te.compute(tuple(shape), element, name="conv", attrs={PLAN: plan.dump()})


def packed_matmul(
    data: Tensor, weights: Tensor, plan: GemmPlan, shape: Sequence[int], accumulator: str
) -> Tensor:
    """Rows of `data` [..., K] times weights packed for `plan`, into `shape` [..., N]."""
    k = te.reduce_axis((0, plan.k), "k")

    def element(*index: Expr) -> Expr:
        value, weight = data(*index[:-1], k), weights(packed_index(plan, 0, index[-1], k))
        return te.sum(cast(value, accumulator) * _weight(weight, accumulator), axis=k)

    return te.compute(tuple(shape), element, name="matmul", attrs={PLAN: plan.dump()})


def _weight(stored: Expr, accumulator: str) -> Expr:
    return widened(stored) if accumulator == "float32" else cast(stored, accumulator)


def pack_scaled_weights(
    integers: np.ndarray, scales: np.ndarray, plan: GemmPlan
) -> tuple[np.ndarray, np.ndarray]:
    """Integers of 4 bits [N, K], two k of a column to a byte, and scales [N, blocks], packed for `plan`."""
    return pack_nibbles(pack_gemm_weights(integers, plan)), pack_gemm_weights(scales, plan.scales)


def packed_scaled_matmul(
    data: Tensor, weights: Tensor, scales: Tensor, plan: GemmPlan, shape: Sequence[int]
) -> Tensor:
    """Rows of `data` [..., K] times what `pack_scaled_weights` packed for `plan`, into `shape` [..., N]."""
    k = te.reduce_axis((0, plan.k), "k")

    def element(*index: Expr) -> Expr:
        number = packed_index(plan, 0, index[-1], k)
        integer = cast(nibble(weights(tirx.indexdiv(number, 2)), number), "float32")
        scale = scales(packed_index(plan.scales, 0, index[-1], tirx.indexdiv(k, plan.scale_block)))
        return te.sum(data(*index[:-1], k) * (integer * scale), axis=k)

    return te.compute(tuple(shape), element, name="matmul", attrs={PLAN: plan.dump()})


def is_pointwise(window: Window) -> bool:
    """Whether output position and input position are the same, so that rows are rows in memory."""
    ones = (1,) * window.rank
    zeros = (0,) * window.rank
    return window.kernel == ones and window.strides == ones and window.pads == zeros and window.ends == zeros


def rows_of(shape: Sequence[int]) -> int:
    """Rows of the product that computes a result of `shape`: all extents but the channels."""
    return math.prod(shape[:-1])
