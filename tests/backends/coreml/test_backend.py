"""`compile` for Core ML: what is in the artifact, how far it is verified, and what goes wrong how."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecompile.backends.backend import BuildRequest
from edgecompile.backends.coreml import tool
from edgecompile.backends.coreml.backend import CoreMlBackend
from edgecompile.backends.coreml.execute import run_coreml
from edgecompile.backends.coreml.tool import write_network
from edgecompile.backends.find import find_backend, find_constraints, find_executor
from edgecompile.cli.main import main
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact, open_artifact, report_json
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import find_target, load_targets, parse_target, target_json
from edgecompile.errors import (
    InputError,
    InternalError,
    MissingToolError,
    UnsupportedError,
    UsageError,
    VerificationError,
)
from edgecompile.execute import load_golden
from edgecompile.lower.lower import usual_plans
from edgecompile.packaging.formats import find_format, package
from edgecompile.packaging.options import PackageOptions
from edgecompile.verify import verify_artifact
from tests.support.coreml import IOS17, needs_coremltools
from tests.support.graphs import message, model
from tests.support.networks import small_cnn
from tests.support.quantized import as_model

TARGET = "apple-neural-engine"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("coreml")
    onnx.save(small_cnn(), folder / "cnn.onnx")
    options = CompileOptions(find_target(TARGET))
    return compile_model(str(folder / "cnn.onnx"), options, folder / "cnn.edge").artifact


def request(**changes: object) -> BuildRequest:
    usual = BuildRequest("net", find_target(TARGET), "mlpackage", usual_plans)
    return replace(usual, **changes)  # type: ignore[arg-type]


def final(network: Model) -> Model:
    return Pipeline(CoreMlBackend().passes(network, request())).run(network)[0]


@needs_coremltools
def test_the_saved_program_is_evaluated(artifact: Artifact) -> None:
    verification = verify_artifact(artifact).verification
    assert (verification.level, verification.device) == ("reference-model", "coreml-evaluator")
    assert 0 < verification.max_error < verification.tolerance == 1e-2
    assert artifact.manifest.tools["coremltools"]
    assert (artifact.path / "coreml.log").is_file()
    assert (artifact.path / "cnn.mlpackage" / "Manifest.json").is_file()
    figures = report_json(artifact.path)["coreml"]
    assert figures["operations"]["conv"] == 3
    assert figures["compute_units"] == "cpuAndNeuralEngine"


@needs_coremltools
def test_changed_weights_are_noticed(artifact: Artifact, tmp_path: Path) -> None:
    copy = Artifact(tmp_path / "copy.edge", artifact.manifest)
    shutil.copytree(artifact.path, copy.path)
    path = copy.path / "cnn.mlpackage" / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    path.write_bytes(path.read_bytes()[:-64] + bytes(64))
    with pytest.raises(VerificationError, match="EC9001"):
        verify_artifact(copy)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"EC3585.*compile again"):
        verify_artifact(copy)
    with pytest.raises(InputError, match="EC3040"):
        open_artifact(copy.path)


@needs_coremltools
def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    network = final(as_model(small_cnn()))
    logs = [write_network(network, IOS17, tmp_path / name, "net") for name in ("a", "b")]
    assert logs[0] == logs[1]
    files = [
        path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*")) if path.is_file()
    ]
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    text = (tmp_path / "a" / "Data" / "com.apple.CoreML" / "model.mlmodel").read_bytes()
    assert b"conversion_date" not in text


@needs_coremltools
def test_apple_reads_what_is_written(artifact: Artifact) -> None:
    import coremltools

    loaded = coremltools.models.MLModel(str(artifact.path / "cnn.mlpackage"), skip_model_load=True)
    specification = loaded.get_spec()
    assert specification.specificationVersion == 8
    assert [feature.name for feature in specification.description.input] == ["x"]


@needs_coremltools
def test_a_swift_package_has_the_model_and_its_golden_vectors(artifact: Artifact, tmp_path: Path) -> None:
    package(artifact, find_format("swift"), PackageOptions(), tmp_path / "package")
    module = tmp_path / "package" / "Sources" / "cnn"
    for path in sorted((artifact.path / "cnn.mlpackage").rglob("*")):
        if path.is_file():
            copied = module / path.relative_to(artifact.path)
            assert copied.read_bytes() == path.read_bytes()
    swift = (module / "cnn.swift").read_text()
    assert "public func run(_ input0: [Float]) throws -> ([Float])" in swift
    assert '"x": MLFeatureValue(shapedArray: MLShapedArray<Float>(scalars: input0, shape: [1, 3, ' in swift
    assert "units: MLComputeUnits = .cpuAndNeuralEngine" in swift
    text = (tmp_path / "package" / "Package.swift").read_text()
    assert "platforms: [.iOS(.v17), .macOS(.v14)]" in text
    test = (tmp_path / "package" / "Tests" / "cnnTests" / "GoldenTests.swift").read_text()
    for source in (swift, text, test):
        assert source.count("{") == source.count("}")
        assert source.count("(") == source.count(")")
    golden = json.loads((tmp_path / "package" / "Tests" / "cnnTests" / "golden.json").read_text())
    _, outputs = load_golden(artifact)
    np.testing.assert_allclose(golden["samples"][1]["outputs"][0], outputs[0][1].ravel(), rtol=1e-6)
    assert golden["allowed"][0] == pytest.approx(1e-2 * float(abs(outputs[0]).max()))


@needs_coremltools
def test_another_format_does_not_take_it(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"EC2564.*static library or C source.*this is a Core ML model.*--format swift"
    ):
        package(artifact, find_format("cmake"), PackageOptions(), tmp_path / "package")


@needs_coremltools
def test_other_devices_do_not_execute_it(artifact: Artifact) -> None:
    with pytest.raises(UsageError, match=r"EC2586.*'local'.*coreml-evaluator"):
        run_coreml(artifact, "local", load_golden(artifact)[0])


def test_every_node_is_named_with_every_reason(tmp_path: Path) -> None:
    text = (
        "agraph (float[2,4,8] x) => (float[2,4,8] y, float[2,4,8] z) <float tiny={1e-12}> "
        "{ a = Add(x, tiny) y = Hardmax(a) z = Hardmax<axis=1>(x) }"
    )
    network = final(model(text))
    with pytest.raises(UnsupportedError) as caught:
        CoreMlBackend().build(network, request(), tmp_path)
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "EC4600" in text
    assert text.count("Hardmax cannot be computed by apple-neural-engine") == 2
    assert "Add cannot be computed" in text
    assert "Fix: scale what the layer computes" in text


def test_weights_of_four_bits_need_a_newer_system(tmp_path: Path) -> None:
    graph = message(
        "agraph (float[3,64] x) => (float[3,4] y) { d = DequantizeLinear<axis=0, block_size=32>(w, s) "
        "y = MatMul(x, d) }"
    )
    graph.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.INT4, [64, 4], [1] * 256))
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 4), np.float32), "s"))
    with pytest.raises(UnsupportedError, match=r"EC4600.*DequantizeLinear.*Fix:.*apple-a18"):
        CoreMlBackend().build(final(as_model(graph)), request(), tmp_path)


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"rounding": "double"}, "--rounding"),
        ({"fallback": "cpu"}, "--fallback"),
        ({"integer_io": True}, "--io"),
    ],
)
def test_options_without_effect_are_refused(change: dict[str, object], option: str) -> None:
    with pytest.raises(UsageError, match=f"EC2585.*'{option}'.*leave {option} out"):
        CoreMlBackend().passes(as_model(small_cnn()), request(**change))


def test_without_coremltools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tool, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r'EC5585.*Fix: pip install "edgecompile\[coreml\]"') as caught:
        write_network(as_model(small_cnn()), IOS17, tmp_path / "net", "net")
    assert caught.value.exit_code == 5


@needs_coremltools
def test_what_coremltools_rejects_is_kept(tmp_path: Path) -> None:
    """A network that the constraints would not let through."""
    network = model("agraph (int64[3] x) => (int64[3] z) { y = Relu(x) z = Relu(y) }", typed=True)
    with pytest.raises(UnsupportedError, match=r"EC4601.*coremltools rejects Relu") as caught:
        write_network(network, IOS17, tmp_path / "net", "net")
    (problem, second) = caught.value.problems
    assert (problem.where, second.where) == ("Relu_0", "Relu_1")
    kept = Path(problem.fix.rpartition(" ")[2])
    assert onnx.load(kept).graph.node
    kept.unlink()


@needs_coremltools
def test_a_crash_is_an_error_of_ours(tmp_path: Path) -> None:
    network = as_model(small_cnn())
    next(node for node in network.graph.graph if node.op_type == "Relu").op_type = "Conjure"
    with pytest.raises(
        InternalError, match=r"EC1345.*coremltools crashed.*Conjure.*report it together with"
    ) as caught:
        write_network(network, IOS17, tmp_path / "net", "net")
    Path(caught.value.problems[0].fix.rpartition(" ")[2]).unlink()


def test_targets() -> None:
    targets = [target for target in load_targets().values() if target.backend == "coreml"]
    assert {target.name for target in targets} >= {TARGET, "apple-a17", "apple-a18", "apple-m4"}
    for target in targets:
        assert target.coreml is not None
        assert parse_target(target_json(target), "x") == target
        assert isinstance(find_backend(target), CoreMlBackend)
        assert find_executor(target, "mlpackage") is run_coreml
        assert find_constraints(target) is not None


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "ops", TARGET, "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "| Conv | Its data are real numbers. Data has one, two or three spatial axes." in text
