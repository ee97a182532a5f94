"""The entry for importing a network: choose the frontend, run it in a guarded child process.

A hostile or damaged file can crash or exhaust native parsers; here that is an InputError like any other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from edgecompile.core.artifact import MANIFEST
from edgecompile.core.isolate import run_isolated
from edgecompile.core.model import Model, Provenance
from edgecompile.core.pipeline import PassRecord, Pipeline, Prover
from edgecompile.errors import InputError, Problem, UsageError
from edgecompile.frontend.limits import ONNX_LIMITS, TORCH_LIMITS, Limits
from edgecompile.frontend.options import ImportOptions

SourceKind = Literal["onnx", "tflite", "torch"]
_SUFFIXES: dict[str, SourceKind] = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".lite": "tflite",
    ".pt2": "torch",
    ".pt": "torch",
    ".pth": "torch",
}
_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_Reply = tuple[bytes, Provenance, tuple[str, ...], tuple[PassRecord, ...]]


def import_model(source: str, options: ImportOptions | None = None) -> Model:
    """Import "net.onnx", "net.tflite", "net.pt2" or "module:function" in a child process.

    Raises InputError, UnsupportedError or UsageError; a crash or an exhausted limit is an InputError.
    """
    return import_through(source, options or ImportOptions(), Pipeline(()))[0]


def import_limits(source: str) -> Limits:
    """What the process that imports `source` may use; raises as `source_kind` does."""
    return TORCH_LIMITS if source_kind(source) == "torch" else ONNX_LIMITS


def import_through(
    source: str,
    options: ImportOptions,
    pipeline: Pipeline,
    prove: Prover | None = None,
    dump_dir: Path | None = None,
) -> tuple[Model, tuple[PassRecord, ...]]:
    """Import `source` and run `pipeline` on it in the same child process; see `Pipeline.run`.

    Passes that call native shape inference belong here. The passes and `prove` must be picklable.
    """
    limits = import_limits(source)
    data, provenance, notes, records = run_isolated(
        _import,
        source,
        options,
        pipeline,
        prove,
        dump_dir,
        task=f"importing {source}",
        memory_bytes=options.memory_bytes or limits.memory_bytes,
        timeout_s=options.timeout_s or limits.timeout_s,
        failure=InputError,
    )
    return Model.from_bytes(data, provenance, notes), records


def source_kind(source: str) -> SourceKind:
    """Which frontend reads `source`: by the suffix of a file; "module:function" is PyTorch.

    Raises UsageError (EC2121) when `source` is neither a known kind of file nor a callable.
    """
    suffix = Path(source).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if _CALLABLE.fullmatch(source):
        return "torch"
    why = f"'{suffix}' is no known file kind" if suffix else "it is neither a file nor module:function"
    fix = "give x.onnx, x.tflite, x.pt2 or package.module:function"
    if (Path(source) / MANIFEST).is_file():
        why, fix = "it is an artifact", "see `edgecompile report`, or give the network that it was made of"
    raise UsageError(Problem("EC2121", f"cannot tell what '{source}' is", "", why, fix))


def load(source: str, options: ImportOptions) -> Model:
    """Import `source` in this process."""
    kind = source_kind(source)
    if kind == "torch":
        from edgecompile.frontend.torch import load_torch

        return load_torch(source, options)
    if kind == "tflite":
        from edgecompile.frontend.tflite.importer import load_tflite

        return load_tflite(source, options)
    from edgecompile.frontend.onnx import load_onnx

    return load_onnx(source, options)


def _import(
    source: str, options: ImportOptions, pipeline: Pipeline, prove: Prover | None, dump_dir: Path | None
) -> _Reply:
    """The child's work: the model travels back as the bytes of an ONNX file."""
    model, records = pipeline.run(load(source, options), prove, dump_dir)
    return model.to_bytes(), model.provenance, model.notes, records
