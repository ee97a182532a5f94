"""What compiling may be told, and what of that is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgecompile.core.artifact import Emit, Manifest
from edgecompile.core.target import Target
from edgecompile.errors import Problem, UnsupportedError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from edgecompile.core.integer import Rounding
    from edgecompile.core.model import Model

MAX_THREADS = 64


@dataclass(frozen=True)
class CompileOptions:
    """What `compile` may be told.

    `input_shapes` and `constants` bind graph inputs by name. `max_flash` and `max_ram` (bytes) replace the
    target's own limits; `check_budget=False` drops them. `prove` checks every pass against the one before.
    `golden` is an .npz of inputs by name, each with a leading sample axis; seeded noise without it.
    The network can run on up to `threads` threads. For a quantized network, `rounding` overrides what the
    file and the target say, and `io` "int8" or "int16" makes its inputs and outputs integers, of that type.
    `records` is a folder of tuning records, which count beside those that are shipped; without `tuned`
    neither do, and all kernels are built by the built-in choice, as are those of `untuned_layers`. `fallback`
    says who computes what an accelerator cannot: with "none" such a network is refused.
    """

    target: Target
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    name: str | None = None
    emit: Emit | None = None
    dump_passes: Path | None = None
    trust_pickle: bool = False
    check_budget: bool = True
    max_flash: int | None = None
    max_ram: int | None = None
    prove: bool = False
    golden: Path | None = None
    threads: int = 1
    rounding: Rounding | None = None
    io: Literal["float", "int8", "int16"] = "float"
    records: Path | None = None
    tuned: bool = True
    untuned_layers: Collection[str] = ()
    fallback: Literal["none", "cpu"] = "none"


def network_name(text: str) -> str:
    """A C identifier for the network, from its file or function name; raises UsageError (EC2010)."""
    from edgecompile.lower.identifier import c_identifier

    stem = text.rpartition(":")[2] if ":" in text else Path(text).stem
    name = c_identifier(stem)
    if len(name) > 64:
        raise UsageError(Problem("EC2010", "the network's name is too long", "--name", name, "give --name"))
    return name


def check_threads(options: CompileOptions) -> None:
    """Raise UsageError (EC2030) for a number of threads that the target cannot have."""
    if options.threads == 1:
        return
    if not 1 <= options.threads <= MAX_THREADS:
        what, fix = f"{options.threads} threads are not possible", f"give a number from 1 to {MAX_THREADS}"
        raise UsageError(Problem("EC2030", what, "--threads", "", fix))
    if options.target.toolchain.firmware:
        what = f"{options.target.name} runs one thread"
        why, fix = "a program without an operating system has no others", "leave --threads out"
        raise UsageError(Problem("EC2030", what, "--threads", why, fix))


def chosen_form(options: CompileOptions, emits: Sequence[Emit]) -> Emit:
    """What to emit. Raises UsageError (EC2033) for a form that the target's backend does not write."""
    usual = options.target.codegen.route
    if options.emit is None:
        return usual if usual in emits else emits[0]
    if options.emit not in emits:
        what = f"{options.target.name} cannot be compiled to '{options.emit}'"
        raise UsageError(Problem("EC2033", what, "--emit", "", f"use {' or '.join(emits)}"))
    return options.emit


def check_exposed(model: Model, wanted: Literal["int8", "int16"]) -> None:
    """Raise UnsupportedError (EC4031) or UsageError (EC2371) for inputs and outputs that are not `wanted`."""
    problems = [
        Problem("EC4031", "this tensor cannot be handed over as integers", info.name, why, "use --io float")
        for info in (*model.inputs, *model.outputs)
        if info.scale is None and info.dtype.startswith("float")
        for why in ["it is not quantized, or not with one scale"]
    ]
    if problems:
        raise UnsupportedError(*problems)
    others = [
        Problem("EC2371", f"--io {wanted} does not fit", info.name, why, f"use --io {info.dtype}, or float")
        for info in (*model.inputs, *model.outputs)
        if info.scale is not None and info.dtype != wanted
        for why in [f"the network stores this tensor as {info.dtype}"]
    ]
    if others:
        raise UsageError(*others)


def over_budget(manifest: Manifest, options: CompileOptions) -> list[Problem]:
    """Where code and weights exceed the flash (EC6001), or arena, inputs and outputs the RAM (EC6002)."""
    flash = options.max_flash or options.target.memory.flash_bytes
    needs = (
        ("EC6001", "flash", manifest.memory.flash, flash),
        ("EC6002", "RAM", manifest.memory.arena + _border_bytes(manifest), _max_ram(options)),
    )
    return [
        Problem(
            code,
            f"the network does not fit the {what} of {options.target.name}",
            manifest.name,
            f"it needs {need / 1024:.1f} kB of {limit / 1024:.1f} kB",
            "shrink the network, choose a larger target, or compile anyway with --no-budget",
        )
        for code, what, need, limit in needs
        if options.check_budget and limit is not None and need > limit
    ]


def crowded_layers(manifest: Manifest, in_use: Sequence[int], options: CompileOptions) -> frozenset[str]:
    """The layers that by themselves need more RAM than there is; `in_use` of the arena is each step's.

    Without `in_use`, which some backends do not know, there are none.
    """
    limit, borders = _max_ram(options), _border_bytes(manifest)
    return frozenset(
        layer
        for step, used in zip(manifest.steps, in_use, strict=False)
        if limit is not None and used + borders > limit
        for layer in step.layers
    )


def _max_ram(options: CompileOptions) -> int | None:
    return options.max_ram or options.target.memory.ram_bytes


def _border_bytes(manifest: Manifest) -> int:
    """What the caller has to have beside the arena."""
    return sum(tensor.nbytes for tensor in (*manifest.inputs, *manifest.outputs))
