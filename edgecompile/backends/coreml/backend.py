"""Core ML: a network as a model package, for the Apple Neural Engine and what is beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.coreml.constraints import TABLE
from edgecompile.backends.coreml.evaluator.program import WEIGHTS, Program, read_program
from edgecompile.backends.coreml.pipeline import coreml_passes
from edgecompile.backends.coreml.tool import write_network
from edgecompile.backends.manifest import make_manifest
from edgecompile.core.artifact import Emit, Manifest, MemoryFigures
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.core.target import CoreMl
from edgecompile.errors import Problem, UsageError

# Files of an artifact: the model, and what coremltools printed.
PACKAGE, LOG = "{name}.mlpackage", "coreml.log"
# Parts of an output's range. float16 has 11 bits, and roundings add up from layer to layer. In 8 bits a value
# near the middle between two integers may become either, and so may what follows from it.
TOLERANCE, QUANTIZED_TOLERANCE = 1e-2, 5e-2
_ALIGNMENT = 64


class CoreMlBackend:
    """One program for the whole network; where it runs is Core ML's decision."""

    emits: tuple[Emit, ...] = ("mlpackage",)
    tools: tuple[str, ...] = ("coremltools",)

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """See `Backend`; raises UsageError (EC2585) for options that Core ML leaves no choice in."""
        problems = []
        if request.rounding is not None:
            problems.append(_without("--rounding", "Core ML rounds as it does"))
        if request.fallback != "none":
            problems.append(_without("--fallback", "Core ML itself decides what runs on which unit"))
        if request.integer_io:
            problems.append(_without("--io", "Core ML takes and returns real numbers"))
        if problems:
            raise UsageError(*problems)
        return coreml_passes()

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """See `Backend`. Raises UnsupportedError (EC4600, EC4601), MissingToolError (EC5585)."""
        settings = request.target.coreml or CoreMl()
        TABLE.check(model.graph.graph, settings, request.target.name)
        package = folder / PACKAGE.format(name=request.name)
        log = write_network(model, settings, package, request.name)
        (folder / LOG).write_text(log, encoding="utf-8")
        program = read_program(package)
        return Build(_manifest(model, request, package, program), _figures(program, settings))


def _without(option: str, why: str) -> Problem:
    return Problem("EC2585", f"{option} has no effect in a Core ML model", option, why, f"leave {option} out")


def _manifest(model: Model, request: BuildRequest, package: Path, program: Program) -> Manifest:
    """How much memory a run takes is Core ML's business."""
    sizes = {path: path.stat().st_size for path in package.rglob("*") if path.is_file()}
    weights = sizes.get(package / WEIGHTS, 0)
    quantized = any(operation.type == "quantize" for operation in program.operations)
    tolerance = QUANTIZED_TOLERANCE if quantized else TOLERANCE
    return make_manifest(
        model, request, MemoryFigures(0, 0, weights, sum(sizes.values())), _ALIGNMENT, tolerance=tolerance
    )


def _figures(program: Program, settings: CoreMl) -> dict[str, Any]:
    """For the report: what the program consists of, and what is asked of Core ML."""
    operations = Counter(operation.type for operation in program.operations if operation.type != "const")
    return {
        "coreml": {
            "deployment": settings.deployment,
            "compute_units": settings.compute_units,
            "operations": dict(sorted(operations.items())),
            "inputs": [asdict(result) for result in program.inputs],
            "outputs": [asdict(result) for result in program.outputs],
        }
    }
