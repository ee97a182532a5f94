"""`compile --emit tflite` for a CPU: a file, executed by LiteRT."""

from __future__ import annotations

import onnx
import pytest

from edgecompile.backends.backend import BuildRequest
from edgecompile.backends.tflite import execute
from edgecompile.backends.tflite.backend import tflite_file_passes
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.target import find_target
from edgecompile.errors import MissingToolError, UsageError
from edgecompile.lower.lower import usual_plans
from edgecompile.verify import verify_artifact
from tests.support.networks import small_cnn
from tests.support.quantized import quantize
from tests.support.tflite_files import needs_tflite

TARGET = find_target("cortex-m4")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("quantized") / "cnn.onnx"
    onnx.save(quantize(small_cnn()), path)
    return str(path)


@pytest.fixture(scope="module")
def artifact(source: str, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    options = CompileOptions(TARGET, emit="tflite", io="int8")
    return compile_model(source, options, tmp_path_factory.mktemp("built") / "cnn.edge").artifact


@needs_tflite
def test_the_file_is_executed_by_the_reference_kernels(artifact: Artifact) -> None:
    report = verify_artifact(artifact)
    assert report.verification.level == "reference-model"
    assert report.verification.device == execute.DEVICE
    assert report.verification.max_error == report.verification.tolerance == 0.0


def test_the_file_is_described(artifact: Artifact) -> None:
    data = (artifact.path / "cnn.tflite").read_bytes()
    manifest = artifact.manifest
    assert data[4:8] == b"TFL3"
    assert (manifest.emit, manifest.entry, manifest.rounding) == ("tflite", "", "double")
    assert manifest.memory.flash == len(data)


def test_other_roundings_are_refused() -> None:
    with pytest.raises(UsageError, match=r"EC2540.*do not round 'single'.*use double"):
        tflite_file_passes(BuildRequest("cnn", TARGET, "tflite", usual_plans, rounding="single"))


def test_other_devices_are_refused(artifact: Artifact) -> None:
    with pytest.raises(UsageError, match=r"EC2543.*'qemu' does not execute TensorFlow Lite files"):
        verify_artifact(artifact, "qemu")


def test_without_litert_the_install_line_is_given(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"EC5541.*LiteRT.*pip install"):
        verify_artifact(artifact)
