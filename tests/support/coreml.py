"""Networks as Core ML programs, executed by the evaluator, against onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from edgecompile.backends.coreml.constraints import TABLE
from edgecompile.backends.coreml.evaluator.evaluator import Evaluator
from edgecompile.backends.coreml.evaluator.program import Program, read_program
from edgecompile.backends.coreml.pipeline import coreml_passes
from edgecompile.backends.coreml.writer import write_package
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import CoreMl
from edgecompile.passes.prove import generate_inputs

Array = np.ndarray[Any, Any]

needs_coremltools = pytest.mark.skipif(
    find_spec("coremltools") is None, reason='coremltools not found (pip install "edgecompile[coreml]")'
)
IOS17, IOS18 = CoreMl(), CoreMl("iOS18")
# Of the greatest number of the reference: a few roundings to 11 bits.
HALF = 4e-3


def program_of(model: Model, settings: CoreMl = IOS17) -> Program:
    """What is saved of `model` after the passes. Raises UnsupportedError."""
    final, _ = Pipeline(coreml_passes()).run(model.copy())
    TABLE.check(final.graph.graph, settings, "apple-neural-engine")
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "net.mlpackage"
        write_package(final, settings, package)
        return read_program(package)


def kinds(program: Program) -> list[str]:
    """The types of the operations, without constants, casts at the borders included."""
    return [operation.type for operation in program.operations if operation.type != "const"]


def check(
    model: Model,
    inputs: Sequence[Array] | None = None,
    tolerance: float = HALF,
    settings: CoreMl = IOS17,
) -> list[str]:
    """The program's outputs are those of onnxruntime; gives the types of its operations."""
    program = program_of(model, settings)
    feeds = generate_inputs(model.inputs, 0)
    if inputs is not None:
        feeds = dict(zip(feeds, inputs, strict=True))
    # What the program sees of the inputs, so that only its own roundings count.
    feeds = {name: _as_half(array) for name, array in feeds.items()}
    wanted = reference(model.to_proto(), feeds)
    found = Evaluator(program).run(list(feeds.values()))
    for got, want in zip(found, wanted, strict=True):
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(got, want)
            continue
        scale = float(np.max(np.abs(want), initial=0.0, where=np.isfinite(want))) or 1.0
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)
    return kinds(program)


def reference(model: onnx.ModelProto, feeds: dict[str, Array]) -> list[Array]:
    """The outputs by onnxruntime, unoptimized."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, feeds)]


def _as_half(array: Array) -> Array:
    return array.astype(np.float16).astype(array.dtype) if array.dtype.kind == "f" else array
