"""What the schedules need to know about a GPU."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """`multiprocessors` work at the same time, on blocks with up to `shared_bytes` of memory of their own.

    `warp` threads go in step; `block_threads` is the most that a block can have.
    """

    multiprocessors: int
    shared_bytes: int = 48 * 1024
    warp: int = 32
    block_threads: int = 1024
