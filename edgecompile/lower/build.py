"""Everything between a canonical graph and the files that a C compiler takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgecompile.core.model import Model
from edgecompile.core.target import Target
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.lower.codegen import kernels_to_c, kernels_to_object, resolve_native
from edgecompile.lower.entry import EntrySources, generate_entry
from edgecompile.lower.lower import lower_graph
from edgecompile.lower.program import Program
from edgecompile.lower.storage import Storage, assign_storage


@dataclass(frozen=True)
class BuiltNetwork:
    """The placed program, its C entry, and where the kernels are (an object file or a C file).

    `alignment` in bytes is that of the arena and of every weight.
    """

    program: Program
    storage: Storage
    entry: EntrySources
    kernels: Path | None
    alignment: int


def build_network(model: Model, name: str, target: Target, emit: str, folder: Path) -> BuiltNetwork:
    """Lower, schedule and generate code for `model` into `folder`.

    `emit` is "lib" (LLVM object) or "c". Raises UnsupportedError for nodes that cannot be compiled.
    """
    lowered = lower_graph(model, name)
    isa = resolve_native(target.isa)
    functions = {symbol: schedule_default(f, isa) for symbol, f in lowered.functions.items()}
    kernels = folder / (f"{name}_kernels.c" if emit == "c" else f"{name}_kernels.o")
    workspace: dict[str, int] = {}
    if functions:
        workspace = (
            kernels_to_c(functions, kernels) if emit == "c" else kernels_to_object(functions, isa, kernels)
        )
    steps = tuple(replace(s, workspace=workspace.get(s.symbol, 0)) for s in lowered.program.steps)
    program = replace(lowered.program, steps=steps)
    storage = assign_storage(program, target.codegen.align)
    entry = generate_entry(name, storage, target.codegen.align)
    return BuiltNetwork(program, storage, entry, kernels if functions else None, target.codegen.align)
