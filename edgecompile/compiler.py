"""`edgecompile compile`: a model file goes in, an artifact comes out.

The parent process only checks, decides and moves files into place. Importing and compiling run native code
(protobuf, onnx, TVM, LLVM) and happen in child processes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecompile import __version__
from edgecompile.compile_options import (
    CompileOptions,
    check_exposed,
    check_threads,
    chosen_form,
    crowded_layers,
    network_name,
    over_budget,
)
from edgecompile.core.artifact import Artifact, Manifest, seal_artifact
from edgecompile.core.isolate import run_isolated
from edgecompile.core.model import Provenance
from edgecompile.core.store import staged_directory
from edgecompile.errors import BudgetError, InputError, Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.core.model import Model
    from edgecompile.core.pipeline import PassRecord

__all__ = ["CompileOptions", "CompileResult", "compile_model", "network_name", "tool_versions"]

# Recorded in every manifest: a change of these may change the code that is generated.
_TOOLS = ("apache-tvm", "apache-tvm-ffi", "onnx", "onnx-ir", "onnxruntime", "numpy")
GOLDEN_SAMPLES = 3


@dataclass(frozen=True)
class CompileResult:
    """The artifact on disk and the report (also in report.json)."""

    artifact: Artifact
    report: dict[str, Any]


@dataclass(frozen=True)
class _Imported:
    """A canonical model on its way between processes."""

    data: bytes
    provenance: Provenance
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Built:
    manifest: Manifest
    report: dict[str, Any]


class _TunedTooLargeError(BudgetError):
    """With tuning records the network does not fit; the built-in kernels may need less room.

    Those of `layers` are built by records, and need more RAM than there is.
    """

    def __init__(self, problems: Sequence[Problem], layers: Collection[str]) -> None:
        super().__init__(*problems)
        self.layers = sorted(layers)


def compile_model(source: str, options: CompileOptions, output: Path) -> CompileResult:
    """Compile `source` (x.onnx, x.tflite, x.pt2 or module:function) into the artifact folder `output`.

    Tuning records are not used where only without them the network fits: at first those of layers that need
    too much RAM, then all. Raises EdgeCompileError subclasses; on any of them `output` is as it was before.
    """
    check_threads(options)
    notes: list[str] = []
    while True:
        try:
            return _compile(source, options, output, notes)
        except _TunedTooLargeError as error:
            too_large = "; ".join(f"{problem.what}: {problem.why}" for problem in error.problems)
            of = f" of {', '.join(error.layers)}" if error.layers else ""
            notes.append(f"the tuning records{of} were not used, because with them {too_large}")
            untuned = {*options.untuned_layers, *error.layers}
            options = replace(options, untuned_layers=untuned, tuned=bool(error.layers))


def _compile(source: str, options: CompileOptions, output: Path, notes: Sequence[str]) -> CompileResult:
    from edgecompile.frontend.load import import_limits

    name = network_name(options.name or source)
    limits = import_limits(source)
    with staged_directory(output) as staging:
        imported = run_isolated(
            import_canonical,
            source,
            options,
            staging / "golden.npz",
            task=f"importing {source}",
            memory_bytes=limits.memory_bytes,
            timeout_s=limits.timeout_s,
            failure=InputError,
        )
        built = run_isolated(
            build_artifact, imported, name, options, staging, task=f"compiling {source}", without=("torch",)
        )
        _check_budget(built, options)
        built.report["notes"] += notes
        (staging / "report.json").write_text(json.dumps(built.report, indent=2, sort_keys=True) + "\n")
        manifest = seal_artifact(staging, built.manifest, options.target)
    return CompileResult(Artifact(output, manifest), built.report)


def _check_budget(built: _Built, options: CompileOptions) -> None:
    """Raise BudgetError for an artifact that is too large, _TunedTooLargeError for one with tuned kernels."""
    problems = over_budget(built.manifest, options)
    tuned = [layer for entry in built.report["tuning"]["by_record"] for layer in entry["layers"]]
    if problems and tuned:
        crowded = crowded_layers(built.manifest, built.report.get("arena_in_use", ()), options)
        raise _TunedTooLargeError(problems, crowded.intersection(tuned))
    if problems:
        raise BudgetError(*problems)


def import_canonical(source: str, options: CompileOptions, golden: Path) -> _Imported:
    """In a guarded child process: import, infer all shapes, and write the golden vectors.

    A file that crashes or exhausts native code does so here, where that is an error of the input.
    """
    from edgecompile.core.pipeline import Pipeline
    from edgecompile.frontend.load import load
    from edgecompile.frontend.options import ImportOptions
    from edgecompile.golden import write_golden
    from edgecompile.passes.canonicalize import canonicalize_passes

    wanted = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    model = load(source, wanted)
    # Passes change their graph in place; the golden outputs must come from the untouched one.
    canonical, _ = Pipeline(canonicalize_passes()).run(model.copy())
    write_golden(model, options.golden, GOLDEN_SAMPLES, golden, canonical)
    return _Imported(canonical.to_bytes(), canonical.provenance, canonical.notes)


def build_artifact(imported: _Imported, name: str, options: CompileOptions, folder: Path) -> _Built:
    """In a child process: run the passes and the backend, and write everything but the manifest."""
    from edgecompile.backends.backend import BuildRequest
    from edgecompile.backends.find import find_backend
    from edgecompile.core.model import Model
    from edgecompile.core.pipeline import Pipeline
    from edgecompile.passes.prove import prove_in_onnxruntime
    from edgecompile.tuning.selection import Selection, select

    target = options.target
    backend = find_backend(target)
    tuned = options.tuned
    selection = select(target, options.records, options.untuned_layers) if tuned else Selection({})
    request = BuildRequest(
        name,
        target,
        chosen_form(options, backend.emits),
        selection.plans,
        options.threads,
        options.rounding,
        options.io != "float",
        options.fallback,
    )
    model = Model.from_bytes(imported.data, imported.provenance, imported.notes)
    pipeline = Pipeline(backend.passes(model, request))
    model, records = pipeline.run(model, prove_in_onnxruntime if options.prove else None, options.dump_passes)
    figures = _finish_integers(model, options, folder / "golden.npz")
    build = backend.build(model, request, folder)
    (folder / "model.onnx").write_bytes(model.to_bytes())
    manifest = replace(
        build.manifest, tools=tool_versions(backend.tools), rounding=figures.get("rounding", "")
    )
    return _Built(
        manifest, _report(manifest, model, records, build.figures | figures | {"tuning": selection.report()})
    )


def _finish_integers(model: Model, options: CompileOptions, golden: Path) -> dict[str, Any]:
    """Golden vectors and figures of a network that computes in integers; nothing for others.

    Raises UnsupportedError (EC4031) when integers shall be exposed and there are none, and UsageError
    (EC2371) when they are of another type, or (EC2372) when there are none to be rounded.
    """
    from edgecompile.core.integer import ROUNDING_KEY
    from edgecompile.golden import write_integer_golden
    from edgecompile.passes.quantize.interpreter import is_integer

    if options.io != "float":
        check_exposed(model, options.io)
    if not is_integer(model):
        if options.rounding is not None:
            why, fix = "no operator computes in integers", "leave it out, or quantize with --quantize int8"
            raise UsageError(Problem("EC2372", "nothing is rounded in this network", "--rounding", why, fix))
        return {}
    differences = write_integer_golden(model, golden)
    return {
        "rounding": model.graph.metadata_props[ROUNDING_KEY],
        "difference_to_float": dict(zip([info.name for info in model.outputs], differences, strict=True)),
    }


def tool_versions(others: Sequence[str] = ()) -> dict[str, str]:
    """Versions of everything that decides what code is generated; `others` are a backend's own tools."""
    return {"edgecompile": __version__} | {tool: version(tool) for tool in (*_TOOLS, *others)}


def _report(
    manifest: Manifest, model: Model, records: tuple[PassRecord, ...], figures: dict[str, Any]
) -> dict[str, Any]:
    """The result as data. No times: an artifact must not depend on the clock."""
    passes = [
        {
            "pass": record.name,
            "modified": record.modified,
            "nodes_before": record.nodes_before,
            "nodes_after": record.nodes_after,
            "max_error": record.max_error,
        }
        for record in records
    ]
    return {
        "schema_version": 1,
        "network": manifest.name,
        "target": manifest.target,
        "source": model.provenance.source,
        "notes": list(model.notes),
        "passes": passes,
        "memory": {
            "arena_bytes": manifest.memory.arena,
            "arena_lower_bound_bytes": manifest.memory.arena_lower_bound,
            "weight_bytes": manifest.memory.weights,
            "flash_bytes": manifest.memory.flash,
            "input_bytes": sum(tensor.nbytes for tensor in manifest.inputs),
            "output_bytes": sum(tensor.nbytes for tensor in manifest.outputs),
        },
    } | figures
