"""Channels-last 3 x 3 convolution with constant weights by Winograd's algorithm.

Three steps: input tiles are transformed, multiplied in (m+2)^2 matrix products, and transformed back. The
last step carries a `WinogradPlan`, by which schedules/winograd.py replaces all three; computed as they stand
they give the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from tvm import te, tirx

from edgecompile.kernels.compute import Layout, Tensor, Window, padded_reader, reduce_axes, shape_of
from edgecompile.kernels.compute_gemm import GemmPlan, pack_gemm_weights, packed_index
from edgecompile.kernels.math import Expr
from edgecompile.kernels.winograd import Transform, transform_of, transform_weights

PLAN = "edgecompile.winograd"
# Blocks of a definition.
STEPS = 3


@dataclass(frozen=True)
class WinogradPlan:
    """How a convolution is computed by tiles of `tile` x `tile` outputs.

    `product` describes the matrix products, a group for each of them: all tiles, `block` at a time, times
    [C, O]. `pads` are the padding at the top and on the left.
    """

    tile: int
    pads: tuple[int, int]
    product: GemmPlan

    @property
    def transform(self) -> Transform:
        return transform_of(self.tile)

    @property
    def window(self) -> Window:
        """An input tile as a window: where it begins, and how far it reaches, for each output tile."""
        size, tile = self.transform.size, self.tile
        return Window((size, size), (tile, tile), (1, 1), self.pads, (0, 0))

    def tiles(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Images, and tiles along both spatial axes, that cover a result of `shape` [N, H, W, O]."""
        return shape[0], -(-shape[1] // self.tile), -(-shape[2] // self.tile)

    def dump(self) -> str:
        fields = {"tile": self.tile, "pads": self.pads, "product": asdict(self.product)}
        return json.dumps(fields, sort_keys=True)

    @staticmethod
    def load(text: str) -> WinogradPlan:
        fields = json.loads(text)
        return WinogradPlan(fields["tile"], tuple(fields["pads"]), GemmPlan(**fields["product"]))


def pack_winograd_weights(weights: np.ndarray, plan: WinogradPlan) -> np.ndarray:
    """Weights [O, C, 3, 3] transformed, and packed for the products into one dimension."""
    matrices = transform_weights(weights, plan.transform)
    return pack_gemm_weights(matrices.reshape(-1, matrices.shape[-1]), plan.product)


def winograd_conv(data: Tensor, weights: Tensor, plan: WinogradPlan, shape: Sequence[int]) -> Tensor:
    """Convolution of `data` [N, H, W, C] into `shape` [N, OH, OW, O] by weights packed for `plan`."""
    size, tile, tiles = plan.transform.size, plan.tile, plan.tiles(shape)
    inputs, outputs = plan.transform.inputs, plan.transform.outputs
    read = padded_reader(data, Layout(True), plan.window, tiles[1:], tirx.const(0.0, "float32"))
    s, t = reduce_axes((size, size), "s")
    i, j = reduce_axes((size, size), "i")
    depth = te.reduce_axis((0, plan.product.k), "c")

    def transformed(i: Expr, j: Expr, image: Expr, y: Expr, x: Expr, channel: Expr) -> Expr:
        value = read(image, plan.window.position((y, x), (s, t)), channel)
        return te.sum(value * _entry(inputs, i, s) * _entry(inputs, j, t), axis=[s, t])

    def multiplied(i: Expr, j: Expr, image: Expr, y: Expr, x: Expr, channel: Expr) -> Expr:
        weight = weights(packed_index(plan.product, i * size + j, channel, depth))
        return te.sum(spectrum(i, j, image, y, x, depth) * weight, axis=depth)

    def result(image: Expr, y: Expr, x: Expr, channel: Expr) -> Expr:
        (ty, u), (tx, v) = ((tirx.indexdiv(at, tile), tirx.indexmod(at, tile)) for at in (y, x))
        value = products(i, j, image, ty, tx, channel)
        return te.sum(value * _entry(outputs, u, i) * _entry(outputs, v, j), axis=[i, j])

    spectrum = te.compute((size, size, *tiles, shape_of(data)[-1]), transformed, name="winograd_input")
    products = te.compute((size, size, *tiles, shape[-1]), multiplied, name="winograd_product")
    return te.compute(tuple(shape), result, name="winograd", attrs={PLAN: plan.dump()})


def _entry(matrix: np.ndarray, row: Expr, column: Expr) -> Expr:
    """matrix[row, column] for an index that is only known at run time."""
    value = tirx.const(0.0, "float32")
    for (r, c), entry in np.ndenumerate(matrix):
        if entry:
            value = tirx.Select(tirx.all(row == r, column == c), tirx.const(float(entry), "float32"), value)
    return value
