"""Dynamically quantized networks end to end: ours and onnxruntime's own, on every kind of CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgecompile.cli.main import main
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact, open_artifact
from edgecompile.core.target import find_target
from edgecompile.execute import reference_noise
from edgecompile.verify import TOLERANCE, verify_artifact
from tests.support.networks import save


def feed_forward() -> onnx.ModelProto:
    """Two products of one tensor, a residual sum, Gelu, a product with Relu: [1, 9, 64] -> [1, 9, 40]."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (64, 96), "w2": (64, 96), "w3": (96, 64), "w4": (64, 40), "b1": (96,), "b4": (40,)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) * 0.2, name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["m1"], "up"),
        helper.make_node("Add", ["m1", "b1"], ["a1"], "up_bias"),
        helper.make_node("Gelu", ["a1"], ["g1"], "gelu"),
        helper.make_node("MatMul", ["x", "w2"], ["m2"], "gate"),
        helper.make_node("Mul", ["g1", "m2"], ["p"], "gated"),
        helper.make_node("MatMul", ["p", "w3"], ["m3"], "down"),
        helper.make_node("Add", ["m3", "x"], ["r"], "residual"),
        helper.make_node("MatMul", ["r", "w4"], ["m4"], "head"),
        helper.make_node("Add", ["m4", "b4"], ["a4"], "head_bias"),
        helper.make_node("Relu", ["a4"], ["y"], "relu"),
    ]
    borders = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 9, extent])]
        for name, extent in (("x", 64), ("y", 40))
    ]
    graph = helper.make_graph(nodes, "test", borders[0], borders[1], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def convolutions() -> onnx.ModelProto:
    """Three convolutions with a residual sum between: [1, 8, 12, 12] -> [1, 40, 6, 6]."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (32, 8, 3, 3), "w2": (32, 32, 3, 3), "w3": (40, 32, 1, 1), "b1": (32,), "b3": (40,)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) * 0.1, name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"], "stem_relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "body", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["a"], "residual"),
        helper.make_node("Conv", ["a", "w3", "b3"], ["y"], "head"),
    ]
    borders = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        for name, shape in (("x", [1, 8, 12, 12]), ("y", [1, 40, 6, 6]))
    ]
    graph = helper.make_graph(nodes, "test", borders[0], borders[1], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(feed_forward(), tmp_path_factory.mktemp("network") / "net.onnx")


@pytest.fixture(scope="module")
def quantized(network: Path) -> Path:
    """The network as our recipe quantizes it, by the command and without samples."""
    output = network.parent / "quantized.onnx"
    assert main(["quantize", str(network), "-o", str(output), "--recipe", "dynamic-int8"]) == 0
    return output


def compiled(source: Path, target: str, output: Path) -> Artifact:
    return compile_model(str(source), CompileOptions(find_target(target)), output).artifact


@pytest.mark.parametrize("target", ["host", "cortex-a72", "cortex-a76", "cortex-a715", "cortex-m4"])
def test_targets_compute_what_onnxruntime_does(quantized: Path, target: str, tmp_path: Path) -> None:
    artifact = compiled(quantized, target, tmp_path / "net.edge")
    report = verify_artifact(artifact, per_layer=True)
    assert report.verification.passed
    operators = [step.layers for step in artifact.manifest.steps]
    # Each product takes in its rescaling, the bias, the activation, a gate and the residual sum.
    for together in (
        {"up", "up_bias", "gated"},
        {"down", "residual"},
        {"head", "head_bias", "head_bias:Relu"},
    ):
        assert sum(together <= set(layers) for layers in operators) == 1
    # Three tensors are quantized: to uint8, or with a range and a zero point of their own to int8.
    assert sum("Quantize" in layers[0] for layers in operators) == (3 if target == "host" else 6)
    errors = {layer: check.max_error for check in report.layers for layer in check.layers}
    assert errors["x/DynamicQuantizeLinear"] == 0
    assert max(errors["up"], errors["gate"]) < 1e-6


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", [QuantType.QInt8, QuantType.QUInt8])
def test_files_of_onnxruntime(network: Path, kind: QuantType, per_channel: bool, tmp_path: Path) -> None:
    """Weights of uint8 have zero points; their products are as fast but for one sum a row."""
    source = tmp_path / "theirs.onnx"
    quantize_dynamic(network, source, weight_type=kind, per_channel=per_channel)
    artifact = compiled(source, "host", tmp_path / "net.edge")
    assert verify_artifact(artifact).verification.passed
    sums = [step.symbol for step in artifact.manifest.steps if "matmulinteger" in step.symbol]
    assert len(sums) == 4
    assert all("cast_mul" in symbol for symbol in sums)


@pytest.mark.parametrize("target", ["host", "cortex-a76"])
def test_convolutions_compute_on_channels_last_integers(target: str, tmp_path: Path) -> None:
    source = save(convolutions(), tmp_path / "float.onnx")
    arguments = ["quantize", str(source), "-o", str(tmp_path / "ours.onnx"), "--recipe", "dynamic-int8"]
    assert main(arguments) == 0
    quantize_dynamic(source, tmp_path / "theirs.onnx", weight_type=QuantType.QInt8)
    for name in ("ours", "theirs"):
        artifact = compiled(tmp_path / f"{name}.onnx", target, tmp_path / f"{name}.edge")
        assert verify_artifact(artifact).verification.passed
        symbols = [step.symbol for step in artifact.manifest.steps if "convinteger" in step.symbol]
        assert len(symbols) == 3
        assert all("convintegernhwc_cast_mul" in symbol for symbol in symbols)


def test_the_quantized_network_is_close_to_the_float_one(network: Path, quantized: Path) -> None:
    x = np.random.default_rng(3).standard_normal((1, 9, 64)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for path in (network, quantized)
    )
    assert 0 < np.abs(before - after).max() / np.abs(before).max() < 0.05


def test_numbers_rounded_the_other_way_are_allowed_for(
    network: Path, quantized: Path, tmp_path: Path
) -> None:
    """Two right executions differ by a whole step where a number lies between two integers."""
    (noise,) = reference_noise(compiled(quantized, "host", tmp_path / "a.edge"))
    assert TOLERANCE / 4 < noise < 0.05
    (noise,) = reference_noise(compiled(network, "host", tmp_path / "b.edge"))
    assert noise < 1e-5


def test_compile_quantizes_on_the_way(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "net.edge"
    arguments = ["compile", str(network), "--target", "host", "--quantize", "dynamic-int8"]
    assert main([*arguments, "-o", str(output), "--verify"]) == 0
    assert "verified on local" in capsys.readouterr().out
    assert any("DynamicQuantizeLinear" in str(step.layers) for step in open_artifact(output).manifest.steps)
