"""Micro-kernels by themselves: one register tile, executed, against NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.compute_gemm import GemmPlan, pack_gemm_weights
from edgecompile.kernels.intrinsics.base import MicroKernel, Operands
from edgecompile.kernels.loops import local, nest, span
from tests.support.on_target import Array, Call, run_calls


@dataclass(frozen=True)
class Tile:
    """x [rows, runs, run] times w [columns, runs * run]."""

    kernel: MicroKernel
    x: Array
    w: Array

    @property
    def expected(self) -> Array:
        flat = self.x.reshape(self.x.shape[0], -1).astype(np.int64)
        return (flat @ self.w.astype(np.int64).T).astype(self.kernel.accumulator)

    def call(self) -> Call:
        """The tile as a kernel of its own."""
        rows, runs, run = self.x.shape
        columns, depth = self.w.shape
        kernel = self.kernel
        plan = GemmPlan(
            kernel.name, "memory", columns, depth, depth, kernel.group, kernel.lanes, rows, columns, rows
        )
        packed = pack_gemm_weights(self.w, plan)

        def body(reads: list[Any], writes: list[Any]) -> None:
            (x, w), (y,) = reads, writes
            sums = local(rows * columns, kernel.accumulator)
            jumps = ((runs, run),) if runs > 1 else ()
            kernel.emit(
                Operands(
                    rows,
                    columns,
                    run,
                    lambda row, at, lanes: x[span(row * depth + at, lanes)],
                    lambda at, lanes: w[span(at, lanes)],
                    sums,
                    jumps,
                )
            )
            with T.serial(0, rows * columns) as i:
                y[i] = sums[i]

        flat = np.ascontiguousarray(self.x.reshape(-1))
        inputs = [te.placeholder(a.shape, a.dtype.name, name=n) for n, a in (("x", flat), ("w", packed))]
        (result,) = nest("tile", inputs, [((rows * columns,), kernel.accumulator)], body)
        function = te.create_prim_func([*inputs, result])
        return Call(function, (flat, packed), (rows * columns,), kernel.accumulator)


def random_tiles(
    kernel: MicroKernel,
    shapes: Sequence[tuple[int, int, int, int]],
    least_weight: int = -127,
    wide: bool = False,
) -> list[Tile]:
    """Tiles for (rows, columns, runs, run): random values, and for each shape one of nothing but extremes.

    Kernels of 16-bit data get bytes, unless it is to be `wide`.
    """
    random = np.random.default_rng(3)
    tiles = []
    data = np.iinfo("int8" if kernel.data == "int16" and not wide else kernel.data)
    for rows, columns, runs, run in shapes:
        x = random.integers(data.min, data.max + 1, (rows, runs, run))
        w = random.integers(least_weight, 128, (columns, runs * run))
        tiles.append(Tile(kernel, x.astype(kernel.data), w.astype(np.int8)))
        x = random.choice([data.min, data.max], (rows, 1, 1)).repeat(runs * run, 2).reshape(x.shape)
        w = random.choice([least_weight, 127], (columns, 1)).repeat(runs * run, 1)
        tiles.append(Tile(kernel, x.astype(kernel.data), w.astype(np.int8)))
    return tiles


def check_tiles(target: str, tiles: Sequence[Tile], isa: Isa | None = None) -> None:
    """Execute all tiles and assert that every sum is right."""
    calls = [tile.call() for tile in tiles]
    for tile, outcome in zip(tiles, run_calls(target, calls, isa), strict=True):
        wrong = np.flatnonzero(outcome.result != tile.expected.reshape(-1))
        assert wrong.size == 0, f"x {tile.x.shape}, w {tile.w.shape}: sums {wrong[:5]} differ"
