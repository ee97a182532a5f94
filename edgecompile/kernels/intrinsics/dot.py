"""Lanes are neighbouring k: for results of so few columns that these would not fill a vector.

Each element of a tile has a vector of partial sums, which are added up at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear, lane_loop, local, span
from edgecompile.kernels.machine import Machine


@dataclass(frozen=True)
class Dot:
    """Vectors of `group` float32 k; a column for each element of the result."""

    machine: Machine
    group: int

    data = "float32"
    accumulator = "float32"
    lanes = 1

    @property
    def name(self) -> str:
        return f"dot{self.group}_float32"

    def registers(self, rows: int, columns: int) -> int:
        """Partial sums, a vector of each row and one of weights."""
        return rows * columns + rows + 1

    def cycles(self, rows: int, columns: int) -> float:
        """As `MultiplyAdd.cycles`."""
        return max(rows * columns, self.machine.in_flight) + 0.5 * (rows + columns)

    def emit(self, tile: Operands) -> None:
        group, elements = self.group, tile.rows * tile.columns
        partial = local(elements * group, self.accumulator)
        clear(partial, elements * group, group)
        with tile.steps(group) as (at, k), T.unroll(0, tile.rows) as row, T.unroll(0, tile.columns) as column:
            place = span((row * tile.columns + column) * group, group)
            weights = tile.w(k * tile.columns + column * group, group)
            partial[place] = partial[place] + tile.x(row, at, group) * weights
        with T.unroll(0, elements) as element:
            start, width = element * group, group // 2
            while width:
                with lane_loop(width) as lane:
                    at = start + lane
                    partial[at] = partial[at] + partial[at + width]
                width //= 2
            tile.sums[element] = partial[start]
