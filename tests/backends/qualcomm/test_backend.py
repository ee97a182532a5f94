"""`compile` for an HTP: what is in the artifact, and how far it is verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecompile.backends.backend import BuildRequest
from edgecompile.backends.qualcomm.backend import HexagonBackend
from edgecompile.backends.qualcomm.execute import EMULATOR, run_hexagon
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.target import find_target
from edgecompile.errors import InputError, InternalError, UsageError
from edgecompile.lower.lower import usual_plans
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from edgecompile.verify import verify_artifact
from tests.support.networks import small_cnn
from tests.support.qualcomm import files, needs_qnn
from tests.support.quantized import as_model, quantize
from tests.support.transformers import TOKENS, WIDTH, encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qualcomm")
    onnx.save(quantize(small_cnn()), path / "cnn.onnx")
    onnx.save(encoder(1), path / "float.onnx")
    samples = np.random.default_rng(0).standard_normal((16, 1, TOKENS, WIDTH)).astype(np.float32)
    np.savez(path / "samples.npz", x=samples)
    quantized = quantize_source(str(path / "float.onnx"), QuantizeOptions(str(path / "samples.npz")))
    write_result(quantized, path / "encoder.onnx")
    return path


@pytest.fixture(scope="module")
def artifact(folder: Path) -> Artifact:
    options = CompileOptions(find_target("snapdragon-8-gen2"))
    return compile_model(str(folder / "cnn.onnx"), options, folder / "cnn.edge").artifact


@needs_qnn
def test_the_context_is_executed_in_the_emulator(artifact: Artifact) -> None:
    verification = verify_artifact(artifact).verification
    assert (verification.level, verification.device) == ("executed-in-emulator", EMULATOR)
    assert verification.max_error < 0.03


@needs_qnn
def test_a_transformer_is_executed_in_the_emulator(folder: Path, tmp_path: Path) -> None:
    options = CompileOptions(find_target("hexagon-v75"))
    artifact = compile_model(str(folder / "encoder.onnx"), options, tmp_path / "encoder.edge").artifact
    assert verify_artifact(artifact).verification.max_error < 0.06


@needs_qnn
def test_the_artifact_has_the_context_and_the_log(artifact: Artifact) -> None:
    manifest, path = artifact.manifest, artifact.path
    context = path / "cnn_htp.onnx"
    assert (manifest.emit, manifest.entry, manifest.target) == ("onnx", "", "hexagon-v73")
    assert manifest.memory.flash == context.stat().st_size
    quantize, node, dequantize = onnx.load(context).graph.node
    conversions = [quantize.op_type, dequantize.op_type]
    assert (node.op_type, conversions) == ("EPContext", ["QuantizeLinear", "DequantizeLinear"])
    assert [a.i for a in node.attribute if a.name == "embed_mode"] == [1]
    log = (path / "qnn.log").read_text()
    assert "onnxruntime" in log
    assert str(Path.home()) not in log
    assert "onnxruntime-qnn" in manifest.tools


@needs_qnn
def test_the_licence_is_shown_and_nothing_is_bundled(artifact: Artifact) -> None:
    notice = (artifact.path / "NOTICE.txt").read_text()
    assert "Qualcomm_LICENSE.pdf" in notice
    report = json.loads((artifact.path / "report.json").read_text())
    assert report["notice"] == " ".join(notice.split())
    assert report["qnn_sdk"] in notice
    assert not [name for name in artifact.manifest.files if name.endswith(".so")]


@needs_qnn
def test_equal_inputs_give_equal_artifacts(artifact: Artifact, folder: Path, tmp_path: Path) -> None:
    options = CompileOptions(find_target("hexagon-v73"))
    again = compile_model(str(folder / "cnn.onnx"), options, tmp_path / "other.edge").artifact
    verified = {"verification.json"}
    one, other = files(artifact.path), files(again.path)
    assert {n: d for n, d in one.items() if n not in verified} == other


@needs_qnn
def test_a_damaged_context_is_noticed(artifact: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "copy.edge"
    shutil.copytree(artifact.path, copy)
    path = copy / "cnn_htp.onnx"
    context = onnx.load(path)
    (binary,) = (a for a in context.graph.node[1].attribute if a.name == "ep_cache_context")
    binary.s = binary.s[:1000]
    onnx.save(context, path)
    with pytest.raises(InternalError, match="EC1342"):
        verify_artifact(Artifact(copy, artifact.manifest))


@needs_qnn
def test_other_devices_are_refused(artifact: Artifact) -> None:
    with pytest.raises(UsageError, match=r"EC2592.*'qemu' does not execute contexts"):
        run_hexagon(artifact, "qemu", [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "single"}, r"EC2590.*does not round 'single'"),
        ({"fallback": "cpu"}, r"EC2591.*cannot be split"),
        ({"integer_io": True}, r"EC2593.*are floats"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    request = BuildRequest("cnn", find_target("hexagon-v73"), "onnx", usual_plans, **options)
    with pytest.raises(UsageError, match=message):
        HexagonBackend().passes(as_model(small_cnn()), request)


def test_a_target_without_a_description_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('schema = 1\nbase = "cortex-a76"\nname = "odd"\nbackend = "hexagon"\n')
    request = BuildRequest("cnn", find_target(str(path)), "onnx", usual_plans)
    with pytest.raises(InputError, match=r"EC3590.*add a table \[hexagon\]"):
        HexagonBackend().build(as_model(small_cnn()), request, tmp_path)
