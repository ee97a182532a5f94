"""Passes and the list that runs them.

A pass takes a Model and returns a PassResult; it says honestly whether it changed anything. The pipeline
times each pass, can dump the graph after each, and can prove each against the model before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from edgecompile.core.model import Model
from edgecompile.core.store import make_folder


@dataclass(frozen=True)
class PassResult:
    """`model` after the pass, whether the graph was `modified`, and `notes` for the report."""

    model: Model
    modified: bool
    notes: tuple[str, ...] = ()


@runtime_checkable
class Pass(Protocol):
    """One graph-to-graph rewrite. `name` is its file's name; `tolerance` bounds what it may change.

    `tolerance` is the largest |difference| of any output, relative to that output's largest magnitude.
    0.0 means bit-exact.
    """

    name: str
    tolerance: float

    def __call__(self, model: Model) -> PassResult: ...


@dataclass(frozen=True)
class PassRecord:
    """What one pass did: wall `seconds`, node counts before and after, proven error when it was proven."""

    name: str
    modified: bool
    seconds: float
    nodes_before: int
    nodes_after: int
    max_error: float | None = None
    notes: tuple[str, ...] = ()


# Compares a model with the one before it and returns the largest relative difference of their outputs.
Prover = Callable[[Model, Model], float]


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of passes."""

    passes: Sequence[Pass]

    def run(
        self, model: Model, prove: Prover | None = None, dump_dir: Path | None = None
    ) -> tuple[Model, tuple[PassRecord, ...]]:
        """Run every pass; the graph after each that changed it goes to `dump_dir`.

        Raises InputError (EC3030) when that cannot be written, and with `prove` InternalError (EC1010) when a
        pass exceeds its tolerance.
        """
        records: list[PassRecord] = []
        for index, step in enumerate(self.passes):
            before = model.copy() if prove else model
            nodes_before = len(model.graph.graph)
            started = time.perf_counter()
            result = step(model)
            seconds = time.perf_counter() - started
            error = prove_pass(step, before, result.model, prove) if prove and result.modified else None
            model = result.model.with_notes(*result.notes)
            nodes = (nodes_before, len(model.graph.graph))
            records.append(PassRecord(step.name, result.modified, seconds, *nodes, error, result.notes))
            if dump_dir is not None and result.modified:
                make_folder(dump_dir)
                (dump_dir / f"{index:02d}_{step.name}.onnx").write_bytes(model.to_bytes())
        return model, tuple(records)


def prove_pass(step: Pass, before: Model, after: Model, prove: Prover) -> float:
    """The proven error of one pass; raises InternalError when it is above the pass's tolerance."""
    from edgecompile.errors import InternalError, Problem

    error = prove(before, after)
    if not error <= step.tolerance:
        raise InternalError(
            Problem(
                "EC1010",
                f"pass {step.name} changed the network's result",
                step.name,
                f"relative difference {error:.3g}, allowed {step.tolerance:.3g}",
                "please report this with the model",
            )
        )
    return error
