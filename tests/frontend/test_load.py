"""Dispatch by the kind of source, and the guarded child process."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult, Pipeline
from edgecompile.errors import EdgeCompileError, InputError, UsageError
from edgecompile.frontend.load import SourceKind, import_model, import_through, source_kind
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.prove import prove_in_onnxruntime
from tests.support.graphs import message, operators

TEXT = "g (float[N,3] x) => (float[N,3] y) { a = Softsign (x) y = Identity (a) }"


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(message(TEXT).SerializeToString())
    return path


def test_an_onnx_file_comes_back_from_the_child(network: Path) -> None:
    imported = import_model(str(network))
    assert operators(imported) == ["Softsign", "Identity"]
    assert [info.shape for info in imported.inputs] == [(1, 3)]
    assert imported.notes == ("dimension 'N' of input 'x' bound to 1",)
    assert imported.provenance.source == "net.onnx"


def test_passes_run_in_the_child_too(network: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(canonicalize_passes(frozenset()))
    options = ImportOptions({"x": (2, 3)})
    imported, records = import_through(
        str(network), options, pipeline, prove_in_onnxruntime, tmp_path / "dump"
    )
    assert operators(imported) == ["Abs", "Add", "Div"]
    assert [info.shape for info in imported.outputs] == [(2, 3)]
    errors = {record.name: record.max_error for record in records if record.modified}
    assert errors["expand_functions"] is not None
    assert errors["expand_functions"] < 1e-6
    assert any(path.name.endswith("expand_functions.onnx") for path in (tmp_path / "dump").iterdir())


def test_importing_is_quick(network: Path) -> None:
    started = time.perf_counter()
    import_through(str(network), ImportOptions(), Pipeline(canonicalize_passes()))
    assert time.perf_counter() - started < 10  # 0.6 s on an idle machine


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("a/net.onnx", "onnx"),
        ("NET.ONNX", "onnx"),
        ("net.tflite", "tflite"),
        ("net.lite", "tflite"),
        ("net.pt2", "torch"),
        ("package.module:function", "torch"),
    ],
)
def test_kind_of_source(source: str, kind: SourceKind) -> None:
    assert source_kind(source) == kind


@pytest.mark.parametrize("source", ["net", "net.h5", "module:", ":function", "a b:c"])
def test_unknown_source_lists_what_is_known(source: str) -> None:
    with pytest.raises(
        UsageError, match=r"EC2121\].*Fix: give x\.onnx, x\.tflite, x\.pt2 or package\.module:function"
    ):
        import_model(source)


def test_errors_of_the_child_arrive_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^error\[EC3101\] cannot read '.*missing.onnx': No such file"):
        import_model(str(tmp_path / "missing.onnx"))
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(InputError, match=r"EC3101.*it is not a regular file"):
        import_model(str(tmp_path / "folder.onnx"))


@dataclass
class Misbehave:
    """A pass that does what hostile input might make native code do."""

    how: str
    name: str = "misbehave"
    tolerance: float = 0.0

    def __call__(self, model: Model) -> PassResult:
        if self.how == "crash":
            import ctypes

            ctypes.string_at(0)
        elif self.how == "hang":
            time.sleep(60)
        elif self.how == "memory":
            np.ones(2**36)
        raise RuntimeError("surprise")


REASONS = {
    "crash": r"EC3003\] importing .*net.onnx crashed: the worker process ended with signal SIGSEGV",
    "hang": r"EC3002\] importing .*net.onnx was stopped: it took longer than 3 s",
    "memory": r"EC3001\] importing .*net.onnx failed: it needs more memory than the limit allows",
    "raise": r"EC3001\] importing .*net.onnx failed: RuntimeError: surprise \(test_load.py:\d+\)",
}


@pytest.mark.parametrize("how", REASONS)
def test_whatever_happens_in_the_child_is_an_input_error(network: Path, how: str) -> None:
    options = ImportOptions(timeout_s=3.0 if how == "hang" else None)
    with pytest.raises(InputError, match=REASONS[how]) as caught:
        import_through(str(network), options, Pipeline((Misbehave(how),)))
    assert "Traceback" not in str(caught.value)
    assert isinstance(caught.value, EdgeCompileError)


def test_memory_limit_can_be_set(network: Path) -> None:
    with pytest.raises(InputError, match="EC300"):
        import_model(str(network), ImportOptions(memory_bytes=64 << 20))


def test_the_parent_stays_light() -> None:
    """The module that the command line imports pulls in neither onnx nor onnxruntime nor torch."""
    script = (
        "import sys, edgecompile.frontend.load;"
        "print([m for m in ('onnx', 'onnx_ir', 'onnxruntime', 'tflite', 'torch', 'tvm') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
