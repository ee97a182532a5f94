"""What the analytic choices of a schedule need to know about a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompile.core.target import Isa


@dataclass(frozen=True)
class Machine:
    """The part of an instruction set that register tiles and blocking are chosen for.

    `lanes` are float32 elements of a vector (1 without vectors), `registers` hold vectors. `in_flight` is how
    many independent multiply-adds keep the units busy: their latency times their number. `l1_bytes` and
    `l2_bytes` are the data caches of one core. `threads` share a kernel's work.
    """

    lanes: int
    registers: int
    in_flight: int
    l1_bytes: int = 32768
    l2_bytes: int = 262144
    threads: int = 1

    @property
    def row_lanes(self) -> int:
        """Neighbours of a row to work on at a time: two vectors hide the latency of one another."""
        return max(4, 2 * self.lanes)

    @staticmethod
    def of(isa: Isa) -> Machine:
        lanes = max(1, isa.vector_bits // 32)
        in_flight = 8 if lanes > 1 else 2
        return Machine(lanes, isa.registers, in_flight, isa.l1_bytes, isa.l2_bytes, isa.threads)
