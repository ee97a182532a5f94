"""A scheduled kernel -> one function for each of its grids.

A kernel is a sequence of grids. Each becomes one `__global__` function, whose parameters are the buffers that
it uses, in the order of the kernel's own, and last the kernel's workspace, if it uses that. What is no grid
yet becomes one: an iteration of a parallel loop is a thread, any other statement runs on a single thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir import Call, PointerType, PrimType, Range
from tvm_ffi.structural import structural_map, structural_walk

from edgecompile.kernels.schedules.expressions import mentions, sequence
from edgecompile.kernels.schedules.parallel import serial_loops
from edgecompile.lower.tasks import statements_of

# Threads of a block for the iterations of a parallel loop: few, so that there are more blocks.
_THREADS = 64
_ALIGN = 256
# An array of a thread up to this size may become registers; a larger one lies in the workspace.
_PRIVATE_BYTES = 4096
_DECLARATIONS = (tirx.AllocBuffer, tirx.DeclBuffer, tirx.Bind)


@dataclass(frozen=True)
class Launch:
    """A grid of `blocks` of `threads` threads of the function `name`.

    It takes the parameters of the kernel that have the numbers `arguments`, and then the workspace if it
    `works_there`.
    """

    name: str
    blocks: tuple[int, int, int]
    threads: int
    arguments: tuple[int, ...]
    works_there: bool = False


@dataclass(frozen=True)
class GpuKernel:
    """The launches of a kernel, in order, and how many bytes of workspace they share."""

    launches: tuple[Launch, ...]
    workspace: int


class Splitter:
    """Makes one function of each grid of a kernel: `functions` by name, and what the `kernel` consists of."""

    def __init__(self, name: str, function: tirx.PrimFunc) -> None:
        self.function, self.size = function, 0
        self.functions: dict[str, tirx.PrimFunc] = {}
        self.workspace = tirx.Var("workspace", PointerType(PrimType("uint8")))
        segments = _segments(statements_of(function.body))
        self.declarations = self._shared_declarations(segments)
        working = [segment for segment in segments if any(map(_works, segment))]
        launches = [
            self._launch(name if len(working) == 1 else f"{name}_{number}", segment)
            for number, segment in enumerate(working)
        ]
        self.kernel = GpuKernel(tuple(launches), self.size)

    def _shared_declarations(self, segments: Sequence[list[Any]]) -> list[Any]:
        """Declarations that several segments may need; takes arrays that several use out of theirs."""
        shared = []
        for segment in segments:
            for statement in [s for s in segment if isinstance(s, _DECLARATIONS)]:
                if not isinstance(statement, tirx.AllocBuffer):
                    shared.append(statement)
                    continue
                buffer = statement.buffer
                users = [other for other in segments if any(mentions(s, buffer) for s in other)]
                if [id(s) for s in users] != [id(segment)] or not _is_serial(segment):
                    shared.append(
                        tirx.DeclBuffer(buffer, data=self._part(_bytes_of(buffer), _type_of(buffer), 0))
                    )
                    segment.remove(statement)
        return shared

    def _part(self, nbytes: int, dtype: str, offset: Any, copies: int = 1) -> Any:
        """The address of `nbytes` of the workspace, or of one of so many `copies`: number `offset`."""
        size = -(-nbytes // _ALIGN) * _ALIGN
        place = offset * size + tirx.const(self.size, "int32")
        self.size += size * copies
        pointer = PointerType(PrimType(dtype))
        return tirx.call_intrin(pointer, "tirx.handle_add_byte_offset", self.workspace, place)

    def _launch(self, name: str, segment: Sequence[tirx.Stmt]) -> Launch:
        working = [s for s in segment if not isinstance(s, tirx.DeclBuffer | tirx.Bind)]
        is_grid = _is_grid(working[0])
        body = _own_arrays(working[0]) if is_grid else self._as_grid(sequence(working))
        needed = _needed(self.declarations, body)
        parameters, arguments, views = [], [], []
        for number, buffer in enumerate(self.function.params):
            if any(mentions(part, buffer) for part in (*needed, body)):
                pointer = tirx.Var(f"p{number}", PointerType(PrimType(_type_of(buffer))))
                parameters.append(pointer)
                arguments.append(number)
                views.append(tirx.DeclBuffer(buffer, data=pointer))
        works_there = any(mentions(part, self.workspace) for part in (*needed, body))
        parameters += [self.workspace] if works_there else []
        attributes = {"global_symbol": name, "calling_conv": 2, "tirx.is_global_func": True}
        function = tirx.PrimFunc(
            parameters, sequence([*views, *needed, body]), PrimType("void"), self.function.attrs
        )
        for key, value in attributes.items():
            function = function.with_attr(key, value)
        self.functions[name] = function
        extents = dict(_thread_extents(body))
        x, y, z = (extents.get(f"blockIdx.{axis}", 1) for axis in "xyz")
        return Launch(name, (x, y, z), extents.get("threadIdx.x", 1), tuple(arguments), works_there)

    def _as_grid(self, statement: Any) -> Any:
        """One thread for each iteration of a parallel loop; a single one for any other statement."""
        is_loop = _is_parallel(statement)
        extent = int(statement.extent) if is_loop else 1
        threads = min(_THREADS, extent)
        block, thread = _axis("blockIdx.x", -(-extent // threads)), _axis("threadIdx.x", threads)
        number = block.var * threads + thread.var
        body = statement
        if is_loop:
            body = sequence([tirx.Bind(statement.loop_var, number), *statements_of(statement.body)])
        body = _own_arrays(self._place_arrays(serial_loops(body), number, extent))
        if extent % threads:
            body = tirx.IfThenElse(number < extent, body, None)
        for axis in (thread, block):
            body = tirx.AttrStmt(axis, "thread_extent", tirx.IntImm("int32", int(axis.dom.extent)), body)
        return body

    def _place_arrays(self, body: Any, number: Any, count: int) -> Any:
        """The large arrays of a thread in the workspace: one for each of `count`."""

        def place(allocation: tirx.AllocBuffer) -> tirx.Stmt:
            buffer = allocation.buffer
            if buffer.scope() != "global" or _bytes_of(buffer) <= _PRIVATE_BYTES:
                return allocation
            data = self._part(_bytes_of(buffer), _type_of(buffer), number if count > 1 else 0, count)
            return tirx.DeclBuffer(buffer, data=data)

        return structural_map(body, [(tirx.AllocBuffer, place)])


def _own_arrays(body: Any) -> Any:
    """Arrays without a place as each thread's own."""
    private: list[tuple[Any, Any]] = []

    def place(allocation: tirx.AllocBuffer) -> tirx.Stmt:
        buffer = allocation.buffer
        if buffer.scope() != "global":
            return allocation
        own = tirx.decl_buffer(buffer.ty.shape, _type_of(buffer), buffer.name, scope="local", layout=None)
        private.append((buffer, own))
        return tirx.AllocBuffer(own)

    body = structural_map(body, [(tirx.AllocBuffer, place)])

    def replace(variable: Any) -> Any:
        return next((own for buffer, own in private if buffer.same_as(variable)), variable)

    return structural_map(body, [(tirx.Var, replace)]) if private else body


def _is_serial(segment: Sequence[Any]) -> bool:
    return not any(_is_grid(s) or _is_parallel(s) for s in segment)


def _works(statement: Any) -> bool:
    is_nothing = isinstance(statement, tirx.Evaluate) and not isinstance(statement.value, Call)
    return not (is_nothing or isinstance(statement, _DECLARATIONS))


def _segments(statements: Sequence[Any]) -> list[list[Any]]:
    """Statements cut where a grid or parallel loop begins or ends: what becomes one grid each."""
    segments: list[list[Any]] = [[]]
    for statement in statements:
        alone = _is_grid(statement) or _is_parallel(statement)
        if alone and any(map(_works, segments[-1])):
            segments.append([])
        segments[-1].append(statement)
        if alone:
            segments.append([])
    return segments


def _is_parallel(statement: Any) -> bool:
    return isinstance(statement, tirx.For) and statement.kind == tirx.ForKind.PARALLEL


def _axis(tag: str, extent: int) -> Any:
    name = tag.replace(".", "_")
    return tirx.IterVar(Range.from_min_extent(0, extent), tirx.Var(name, "int32"), 1, tag)


def _needed(declarations: Sequence[Any], body: Any) -> list[Any]:
    """Which declarations a statement needs, directly or for another one."""
    needed: list[Any] = []
    for declaration in reversed(declarations):
        own = declaration.var if isinstance(declaration, tirx.Bind) else declaration.buffer
        if any(mentions(part, own) for part in (body, *needed)):
            needed.insert(0, declaration)
    return needed


def _type_of(buffer: Any) -> str:
    return str(buffer.ty.dtype)


def _bytes_of(buffer: Any) -> int:
    return math.prod(int(extent) for extent in buffer.ty.shape) * np.dtype(_type_of(buffer)).itemsize


def _is_grid(body: tirx.Stmt) -> bool:
    return next(_thread_extents(body), None) is not None


def _thread_extents(body: tirx.Stmt) -> Iterator[tuple[str, int]]:
    """(axis, extent) of the threads and blocks in a statement."""
    found: list[Any] = []
    structural_walk(body, [(tirx.AttrStmt, found.append)])
    return ((str(a.node.thread_tag), int(a.value)) for a in found if a.attr_key == "thread_extent")
