"""`compile` for an Ethos-U: what is in the artifact, and how far it is verified."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgecompile.backends.backend import BuildRequest
from edgecompile.backends.ethos_u.backend import EthosUBackend
from edgecompile.backends.ethos_u.execute import EMULATOR, LIBRARY
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.target import find_target
from edgecompile.errors import (
    InputError,
    InternalError,
    MissingToolError,
    UnsupportedError,
    UsageError,
    VerificationError,
)
from edgecompile.lower.lower import usual_plans
from edgecompile.verify import verify_artifact
from tests.support.ethos_u import needs_vela
from tests.support.networks import small_cnn
from tests.support.quantized import as_model, quantize
from tests.support.tflite_files import needs_tflite

pytestmark = needs_vela
needs_gcc = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None,
    reason="arm-none-eabi-gcc not found (apt install gcc-arm-none-eabi)",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ethos_u")
    onnx.save(quantize(small_cnn()), path / "cnn.onnx")
    return path


@pytest.fixture(scope="module")
def artifact(folder: Path) -> Artifact:
    options = CompileOptions(find_target("ethos-u55-128"))
    return compile_model(str(folder / "cnn.onnx"), options, folder / "cnn.edge").artifact


@needs_gcc
@pytest.mark.parametrize(("device", "name"), [(None, f"{LIBRARY} and {EMULATOR}"), (EMULATOR, EMULATOR)])
def test_the_stream_is_executed_in_the_emulator(artifact: Artifact, device: str | None, name: str) -> None:
    verification = verify_artifact(artifact, device).verification
    assert (verification.level, verification.device) == ("executed-in-emulator", name)
    assert verification.max_error == verification.tolerance == 0.0


@needs_gcc
def test_without_an_emulator_of_the_cpu_the_stream_alone_is_executed(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert verify_artifact(artifact).verification.device == EMULATOR
    with pytest.raises(MissingToolError):
        verify_artifact(artifact, LIBRARY)


@needs_gcc
def test_a_damaged_stream_is_noticed(artifact: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "copy.edge"
    shutil.copytree(artifact.path, copy)
    path = copy / "npu" / "0" / "constants.bin"
    data = bytearray(path.read_bytes())
    data[:10] = bytes(x ^ 64 for x in data[:10])  # the bias of a channel
    path.write_bytes(bytes(data))
    with pytest.raises((VerificationError, UnsupportedError)):
        verify_artifact(Artifact(copy, artifact.manifest), EMULATOR)
    with pytest.raises(InternalError, match=r"EC1541\] memory region 0 is another"):
        verify_artifact(Artifact(copy, artifact.manifest), LIBRARY)


@needs_gcc
def test_the_artifact_has_a_library_and_what_it_was_made_of(artifact: Artifact) -> None:
    files = set(artifact.manifest.files)
    assert {"include/cnn.h", "src/cnn.c", "lib/libcnn.a"} < files
    kept = ("network.tflite", "vela.log", "commands.bin", "constants.bin", "layout.json")
    assert {f"npu/0/{name}" for name in kept} == {name for name in files if name.startswith("npu")}
    assert "#define CNN_ARENA_BYTES" in artifact.header.read_text()
    library = artifact.library.read_bytes()
    for name in ("commands", "constants"):
        assert (artifact.path / "npu" / "0" / f"{name}.bin").read_bytes() in library
    assert {info.dtype for info in (*artifact.manifest.inputs, *artifact.manifest.outputs)} == {"int8"}


@needs_gcc
def test_estimates_are_called_so(artifact: Artifact) -> None:
    report = json.loads((artifact.path / "report.json").read_text())
    estimates = report["estimates"]
    assert estimates["by"] == "Vela"
    assert estimates["cpu_operators"] == 0
    assert estimates["total_cycles"] >= estimates["npu_cycles"] > 0


@needs_gcc
def test_other_devices_are_refused(artifact: Artifact) -> None:
    with pytest.raises(UsageError, match=r"EC2542.*'local' does not execute.*use ethos-u-emulator or qemu"):
        verify_artifact(artifact, "local")


@needs_tflite
def test_c_sources_for_an_ethos_u85_are_verified_by_reference_kernels(folder: Path, tmp_path: Path) -> None:
    options = CompileOptions(find_target("ethos-u85-256"), emit="c")
    artifact = compile_model(str(folder / "cnn.onnx"), options, tmp_path / "cnn.edge").artifact
    assert "ethosu_invoke_v3" in (artifact.path / "src" / "cnn_npu0.c").read_text()
    verification = verify_artifact(artifact).verification
    assert verification.level == "reference-model"
    assert verification.max_error == verification.tolerance == 0.0


def test_a_file_for_microcontrollers_is_executed(folder: Path, tmp_path: Path) -> None:
    options = CompileOptions(find_target("ethos-u65-256"), emit="tflite")
    artifact = compile_model(str(folder / "cnn.onnx"), options, tmp_path / "cnn.edge").artifact
    assert b"ethos-u" in (artifact.path / "cnn_ethos_u.tflite").read_bytes()
    assert artifact.manifest.entry == ""
    verification = verify_artifact(artifact).verification
    assert (verification.level, verification.device) == ("executed-in-emulator", EMULATOR)
    assert verification.max_error == verification.tolerance == 0.0
    with pytest.raises(UsageError, match=r"EC2542.*use ethos-u-emulator"):
        verify_artifact(artifact, LIBRARY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "single"}, r"EC2540.*does not round 'single'"),
        ({"fallback": "cpu", "emit": "tflite"}, r"EC2544.*TensorFlow Lite file cannot be split"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    request = replace(BuildRequest("cnn", find_target("ethos-u55-128"), "lib", usual_plans), **options)
    with pytest.raises(UsageError, match=message):
        EthosUBackend().passes(as_model(small_cnn()), request)


def test_a_target_without_a_description_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('schema = 1\nbase = "cortex-m4"\nname = "odd"\nbackend = "ethos-u"\n')
    request = BuildRequest("cnn", find_target(str(path)), "lib", usual_plans)
    with pytest.raises(InputError, match=r"EC3540.*add a table \[ethos_u\]"):
        EthosUBackend().build(as_model(quantize(small_cnn())), request, tmp_path)
