"""The parts that a kernel for a GPU is written with: blocks, threads, and the memory that a block shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.loops import Buffer
from edgecompile.kernels.math import Expr, cast

_AXES = "xyz"


@contextmanager
def grid(blocks: Sequence[int], threads: int) -> Iterator[tuple[list[Expr], Expr]]:
    """Launch blocks of `threads` threads in up to three axes; yields (a block's place, a thread's number)."""
    with ExitStack() as stack:
        place = [
            stack.enter_context(T.thread_binding(0, extent, thread=f"blockIdx.{axis}"))
            for axis, extent in zip(_AXES, blocks, strict=False)
        ]
        yield place, stack.enter_context(T.thread_binding(0, threads, thread="threadIdx.x"))


def shared(extent: int, dtype: str) -> Buffer:
    """An array that all threads of a block see, after `sync`."""
    return T.buffer_proxy(T.alloc_buffer((extent,), dtype, scope="shared"))


def private(extent: int, dtype: str) -> Buffer:
    """An array of each thread's own: registers where all its indices are constant."""
    return T.buffer_proxy(T.alloc_buffer((extent,), dtype, scope="local"))


def sync() -> None:
    """Wait until all threads of the block are here."""
    T.evaluate(T.tvm_storage_sync("shared"))


def combine_in_warp(total: Buffer, combine: Callable[[Expr, Expr], Expr], warp: int) -> None:
    """total[0] becomes what the threads of a warp have in theirs, combined."""
    dtype = str(total.dtype)
    own = "float32" if dtype == "float16" else dtype
    other = private(1, dtype)
    offset = warp // 2
    while offset:
        everybody = tirx.const(0xFFFFFFFF, "uint32")
        other[0] = cast(T.call_extern(own, "__shfl_xor_sync", everybody, cast(total[0], own), offset), dtype)
        total[0] = combine(total[0], other[0])
        offset //= 2


@contextmanager
def only_if(conditions: Sequence[Expr]) -> Iterator[None]:
    """What follows is done where all conditions hold."""
    with ExitStack() as stack:
        if conditions:
            stack.enter_context(T.If(tirx.all(*conditions)))
            stack.enter_context(T.Then())
        yield
