"""A parallel loop becomes a range of iterations that the caller chooses.

Nothing in a kernel knows of threads: one whose body is a single parallel loop takes `begin` and `end`, and
whoever calls it decides which thread executes which part.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.ir import Call, Range
from tvm.sym import Analyzer
from tvm_ffi.structural import structural_visit

from edgecompile.kernels.schedules.parallel import serial_loops

# What an analysis of 32 bit numbers says when it knows nothing.
_UNBOUNDED = 2**31 - 1
_DECLARATIONS = (tirx.AllocBuffer, tirx.DeclBuffer, tirx.Bind)


def take_range(body: tirx.Stmt, begin: tirx.Var, end: tirx.Var) -> tuple[tirx.Stmt, int]:
    """`body` with its parallel loop running from `begin` to `end`, and the whole extent of that loop.

    The extent is 0, and `begin` and `end` stay unused, unless the loop is the only statement besides
    declarations. All other parallel loops become serial.
    """
    statements = statements_of(body)
    working = [s for s in statements if not isinstance(s, _DECLARATIONS)]
    if len(working) != 1 or not _is_parallel(working[0]):
        return serial_loops(body), 0
    loop = working[0]
    ranged = tirx.For(loop.loop_var, begin, end - begin, tirx.ForKind.SERIAL, serial_loops(loop.body))
    declarations = [s for s in statements if s is not loop]
    return tirx.SeqStmt([*declarations, ranged]) if declarations else ranged, int(loop.extent)


def estimate_work(body: tirx.Stmt) -> int:
    """How many stores and calls `body` executes: its cycles, roughly, on whatever processor.

    A vector counts as one, both branches of a condition count, and a loop runs as often as it can at most.
    """
    total, repeats, analyzer = 0, 1, Analyzer()

    def enter(loop: Any, visitor: Any) -> None:
        nonlocal repeats
        outside = repeats
        repeats *= _most(loop.extent, analyzer)
        analyzer.bind(loop.loop_var, Range.from_min_extent(loop.min, loop.extent))
        visitor.default_visit(loop)
        repeats = outside

    def learn(binding: Any, visitor: Any) -> None:
        if str(binding.var.ty.dtype) == "int32":
            analyzer.bind(binding.var, binding.value)
        visitor.default_visit(binding)

    def count(node: Any, visitor: Any) -> None:
        nonlocal total
        total += repeats
        visitor.default_visit(node)

    callbacks = [(tirx.For, enter), (tirx.Bind, learn), (tirx.BufferStore, count), (Call, count)]
    structural_visit(body, callbacks)
    return total


def _most(extent: Any, analyzer: Analyzer) -> int:
    """The largest value of `extent`; 1 when nothing is known about it."""
    bound = int(analyzer.const_int_bound(extent).max_value)
    return bound if bound < _UNBOUNDED else 1


def statements_of(body: tirx.Stmt) -> list[tirx.Stmt]:
    """The statements of a sequence; `body` itself when it is none."""
    return list(body.seq) if isinstance(body, tirx.SeqStmt) else [body]


def _is_parallel(statement: Any) -> bool:
    """A parallel loop from 0 to a constant, counted in 32 bits."""
    if not isinstance(statement, tirx.For) or statement.kind != tirx.ForKind.PARALLEL:
        return False
    bounds = (statement.min, statement.extent)
    is_constant = all(isinstance(bound, tirx.IntImm) for bound in bounds)
    return is_constant and int(statement.min) == 0 and str(statement.loop_var.ty.dtype) == "int32"
