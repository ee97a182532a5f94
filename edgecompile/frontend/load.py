"""The entry for importing a network: choose the frontend, run it in a guarded child process.

A hostile or damaged file can crash or exhaust native parsers; here that is an InputError like any other.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgecompile.core.isolate import run_isolated
from edgecompile.core.model import Model, Provenance
from edgecompile.core.pipeline import PassRecord, Pipeline, Prover
from edgecompile.errors import InputError, Problem, UnsupportedError, UsageError
from edgecompile.frontend.limits import ONNX_LIMITS, TORCH_LIMITS, Limits
from edgecompile.frontend.options import ImportOptions

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_Reply = tuple[bytes, Provenance, tuple[str, ...], tuple[PassRecord, ...]]


def import_model(source: str, options: ImportOptions | None = None) -> Model:
    """Import "net.onnx", "net.pt2" or "module:function" in a child process.

    Raises InputError, UnsupportedError or UsageError; a crash or an exhausted limit is an InputError.
    """
    return import_through(source, options or ImportOptions(), Pipeline(()))[0]


def import_limits(source: str) -> Limits:
    """What the process that imports `source` may use; raises as `is_torch` does."""
    return TORCH_LIMITS if is_torch(source) else ONNX_LIMITS


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


def is_torch(source: str) -> bool:
    """Whether `source` names a PyTorch network: "module:function" or a .pt2 file.

    Raises UnsupportedError (EC4121) for a file kind without a frontend, UsageError (EC2121) when `source` is
    neither a file nor a callable.
    """
    suffix = Path(source).suffix.lower()
    if suffix == ".onnx":
        return False
    if suffix in (".pt2", ".pt", ".pth") or _CALLABLE.fullmatch(source):
        return True
    if suffix in (".tflite", ".lite"):
        fix = "convert it with tf2onnx and give the .onnx file"
        raise UnsupportedError(Problem("EC4121", "TensorFlow Lite files cannot be imported", source, "", fix))
    why = f"'{suffix}' is no known file kind" if suffix else "it is neither a file nor module:function"
    fix = "give x.onnx, x.pt2 or package.module:function"
    raise UsageError(Problem("EC2121", f"cannot tell what '{source}' is", source, why, fix))


def load(source: str, options: ImportOptions) -> Model:
    """Import `source` in this process."""
    if is_torch(source):
        from edgecompile.frontend.torch import load_torch

        return load_torch(source, options)
    from edgecompile.frontend.onnx import load_onnx

    return load_onnx(source, options)


def _import(
    source: str, options: ImportOptions, pipeline: Pipeline, prove: Prover | None, dump_dir: Path | None
) -> _Reply:
    """The child's work: the model travels back as the bytes of an ONNX file."""
    model, records = pipeline.run(load(source, options), prove, dump_dir)
    return model.to_bytes(), model.provenance, model.notes, records
