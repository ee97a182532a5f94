"""The seam between the compiler and what makes code for one kind of device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from edgecompile.core.artifact import Artifact, Emit, Level, Manifest
from edgecompile.core.device import Device
from edgecompile.core.integer import Rounding
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.core.target import Target

if TYPE_CHECKING:
    # The lowering needs TVM, and who only executes an artifact does not.
    from edgecompile.lower.lower import PlansOf

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class BuildRequest:
    """What to make of a network called `name`: an artifact for `target` in the form `emit`.

    `plans` chooses the plans of CPU kernels. `fallback` says who executes what an accelerator cannot: nobody,
    or the CPU beside it. `rounding` overrides what the model and the target say, and `integer_io` makes
    integers of the inputs and outputs of a quantized network.
    """

    name: str
    target: Target
    emit: Emit
    plans: PlansOf
    threads: int = 1
    rounding: Rounding | None = None
    integer_io: bool = False
    fallback: Literal["none", "cpu"] = "none"


@dataclass(frozen=True)
class Build:
    """What a backend wrote into the artifact folder; `figures` go into the report."""

    manifest: Manifest
    figures: dict[str, Any]


@dataclass(frozen=True)
class Execution:
    """What an artifact computed, one (samples, *shape) array an output, and where that was."""

    outputs: tuple[Array, ...]
    device: str
    level: Level


# Runs every sample of the inputs, (samples, *shape) each, on the named device (None: as well as can be had
# here). Raises UsageError for a device that it cannot run on, and MissingToolError.
Executor: TypeAlias = Callable[[Artifact, str | None, Sequence[Array]], Execution]


# Links the runner around an artifact, for a device, into the path; with True it reports every step.
Linker: TypeAlias = Callable[[Artifact, Device, Path, bool], Path]


class Backend(Protocol):
    """Makes artifacts for a kind of device. Built-in ones and plug-ins are found by `find_backend`.

    `emits` are the forms it can write; the usual one is the target's `codegen.route` if it is among
    them, else the first. `tools` are the distributions, beside those of every compile, whose versions decide
    what is generated.
    """

    @property
    def emits(self) -> tuple[Emit, ...]: ...

    @property
    def tools(self) -> tuple[str, ...]: ...

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """What an imported `model` goes through, in order. Raises InputError for what the model demands."""
        ...

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """Write everything but the graph, the golden vectors, the report and the manifest into `folder`.

        Raises UnsupportedError listing every node that cannot be compiled, and MissingToolError.
        """
        ...
