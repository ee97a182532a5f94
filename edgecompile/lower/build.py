"""Everything between a canonical graph and the files that a C compiler takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tvm import tirx

from edgecompile.core.model import Model
from edgecompile.core.target import Isa, Target
from edgecompile.kernels.cortex_m.calls import sources
from edgecompile.lower.codegen import kernels_to_c, kernels_to_object, resolve_native
from edgecompile.lower.entry import EntrySources, generate_entry
from edgecompile.lower.kernel import schedule_kernel
from edgecompile.lower.lower import PlansOf, lower_graph, usual_plans
from edgecompile.lower.program import Program, Step
from edgecompile.lower.storage import Storage, assign_storage
from edgecompile.lower.tir import Interface, called_functions

# A step of less estimated work (cycles, roughly) runs on the calling thread: handing it out and waiting for
# the others takes up to a microsecond, and the data has to move between cores.
_SHARED_WORK = 10_000
# Workspaces of two threads have no cache line in common.
_PART_ALIGN = 64


@dataclass(frozen=True)
class BuiltNetwork:
    """The placed program, its C entry, and where the kernels are (an object file or a C file).

    `alignment` in bytes is that of the arena and of every weight. `support` are C files, headers included,
    with functions that the kernels call.
    """

    program: Program
    storage: Storage
    entry: EntrySources
    kernels: Path | None
    alignment: int
    support: tuple[Path, ...] = ()


def build_network(
    model: Model,
    name: str,
    target: Target,
    emit: str,
    folder: Path,
    threads: int = 1,
    plans: PlansOf = usual_plans,
) -> BuiltNetwork:
    """Lower, schedule and generate code for `model` into `folder`.

    `emit` is "lib" (LLVM object) or "c". The network can use up to `threads` threads. Raises UnsupportedError
    for nodes that cannot be compiled.
    """
    isa = replace(resolve_native(target.isa), intrinsics=emit == "lib", threads=threads)
    lowered = lower_graph(model, name, isa, plans)
    functions = {symbol: schedule_kernel(f, isa) for symbol, f in lowered.functions.items()}
    kernels = folder / (f"{name}_kernels.c" if emit == "c" else f"{name}_kernels.o")
    interfaces, support = generate_kernels(functions, isa, kernels)
    steps = tuple(
        call_step(step, interfaces[step.symbol], threads) if step.symbol in interfaces else step
        for step in lowered.program.steps
    )
    program = replace(lowered.program, steps=steps)
    storage = assign_storage(program, target.codegen.align)
    entry = generate_entry(name, storage, target.codegen.align, threads)
    path = kernels if kernels.is_file() else None
    return BuiltNetwork(program, storage, entry, path, target.codegen.align, support)


def generate_kernels(
    functions: dict[str, tirx.PrimFunc], isa: Isa, kernels: Path
) -> tuple[dict[str, Interface], tuple[Path, ...]]:
    """Write `kernels`, an object or C file; returns the interfaces by symbol, and the C files that it needs.

    A kernel that calls a C function becomes C as well: LLVM does not know that the function never throws,
    and would have it unwound, for which a linker adds the unwinder.
    """
    calls = {symbol: called_functions(function) for symbol, function in functions.items()}
    support = sources(frozenset().union(*calls.values()), isa)
    if kernels.suffix == ".c":
        return kernels_to_c(functions, kernels) if functions else {}, support
    callers = {symbol: function for symbol, function in functions.items() if calls[symbol]}
    others = {symbol: function for symbol, function in functions.items() if not calls[symbol]}
    interfaces = kernels_to_object(others, isa, kernels) if others else {}
    if callers:
        path = kernels.with_name("calls.c")
        interfaces |= kernels_to_c(callers, path)
        support = (path, *support)
    return interfaces, support


def call_step(step: Step, interface: Interface, threads: int) -> Step:
    """`step` with what its kernel takes, in parts when it is worth sharing out among `threads`."""
    parts = min(threads, interface.tasks) if interface.work >= _SHARED_WORK else 1
    workspace = interface.workspace
    if parts > 1:
        workspace = -(-workspace // _PART_ALIGN) * _PART_ALIGN
    return replace(step, workspace=workspace, tasks=interface.tasks, parts=parts)
