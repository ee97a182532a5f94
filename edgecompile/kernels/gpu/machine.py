"""What the schedules need to know about a GPU."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """`multiprocessors` work at the same time, on blocks with up to `shared_bytes` of memory of their own.

    Threads go in step in a `warp`. The blocks of a multiprocessor share `resident_threads`, `resident_bytes`
    and `registers`: these are the least of all architectures from 8.6 to 9.0 (CUDA C++ Programming Guide,
    "Compute Capabilities"). A grid has at most `most_blocks` along its second and third axis.
    """

    multiprocessors: int
    shared_bytes: int = 48 * 1024
    warp: int = 32
    resident_threads: int = 1536
    resident_bytes: int = 100 * 1024
    registers: int = 65536
    most_blocks: int = 65535
