"""Run one conformance case through import, passes, lowering and execution."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgecompile.backends.pipeline import optimize
from edgecompile.core.model import Model
from edgecompile.core.target import find_target
from edgecompile.errors import InputError, UnsupportedError
from edgecompile.frontend.onnx import load_onnx
from edgecompile.frontend.options import ImportOptions
from tests.conformance.cases import Case
from tests.support.execute import execute


@dataclass(frozen=True)
class Outcome:
    """What became of a case; `detail` is the refusal's or difference's message."""

    kind: Literal["passed", "refused", "wrong"]
    detail: str = ""


def run_case(case: Case, target: str = "host", emit: str = "lib") -> Outcome:
    """Compile and execute a case; only refusals that a user would see as exit 4 count as refused."""
    try:
        model = _compile_graph(case, target)
        for inputs, expected in case.data_sets:
            difference = _compare(case, execute(model, _pick(case, model, inputs), target, emit), expected)
            if difference:
                return Outcome("wrong", difference)
    except UnsupportedError as error:
        return Outcome("refused", str(error))
    except InputError as error:
        # A sequence, optional or string at the border is no tensor file at all for the importer.
        return Outcome("refused", str(error)) if _has_other_values(case) else Outcome("wrong", str(error))
    return Outcome("passed")


def _compile_graph(case: Case, target: str) -> Model:
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as folder:
        path = Path(folder) / f"{case.name}.onnx"
        path.write_bytes(case.model.SerializeToString())
        imported = load_onnx(path, ImportOptions(constants=case.constants()))
    return optimize(imported, find_target(target))[0]


def _pick(case: Case, model: Model, inputs: tuple[Any, ...]) -> list[np.ndarray[Any, Any]]:
    by_name = dict(zip((i.name for i in case.model.graph.input), inputs, strict=False))
    return [np.asarray(by_name[info.name]) for info in model.inputs]


def _has_other_values(case: Case) -> bool:
    graph = case.model.graph
    return any(v.type.WhichOneof("value") != "tensor_type" for v in [*graph.input, *graph.output])


def _compare(case: Case, results: list[np.ndarray[Any, Any]], expected: tuple[Any, ...]) -> str:
    for index, (got, want) in enumerate(zip(results, expected, strict=True)):
        want = np.asarray(want)
        if got.dtype != want.dtype or got.shape != want.shape:
            return f"output {index}: {got.dtype} {got.shape}, expected {want.dtype} {want.shape}"
        if got.dtype.kind == "f":
            atol = max(case.atol, _rounding(want))
            close = np.isclose(got, want, rtol=case.rtol, atol=atol, equal_nan=True)
        else:
            close = got == want
        if not close.all():
            return f"output {index}: {got[~close][:3]}, expected {want[~close][:3]}"
    return ""


def _rounding(want: np.ndarray[Any, Any]) -> float:
    """What one rounding of the largest element amounts to: sums that cancel to 0 are never closer."""
    finite = np.abs(want[np.isfinite(want)])
    return float(np.finfo(want.dtype).eps * finite.max()) if finite.size else 0.0
