"""Quantized networks end to end: what the binary computes is, bit by bit, what the interpreter specifies."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest

from edgecompile.compiler import CompileOptions, CompileResult, compile_model
from edgecompile.core.artifact import Artifact, open_artifact
from edgecompile.core.integer import DOMAIN, ROUNDINGS, Rounding
from edgecompile.core.model import Model
from edgecompile.core.target import find_target
from edgecompile.errors import InputError, UnsupportedError, UsageError, VerificationError
from edgecompile.execute import load_golden
from edgecompile.golden import npz_bytes
from edgecompile.passes.prove import generate_inputs, run_model
from edgecompile.passes.quantize.interpreter import Interpreter
from edgecompile.verify import verify_artifact
from tests.support.execute import execute
from tests.support.networks import save, small_cnn
from tests.support.operators import normal
from tests.support.quantized import QuantizedGraph, converted, quantize


def _conv(g: QuantizedGraph, data: str, out: int, inner: int, size: int, seed: int, **attributes: Any) -> str:
    """A convolution that keeps the size, by random weights."""
    weights = g.weights(normal(out, inner, size, size, seed=seed) * 0.4)
    inputs = [data, weights, g.constant(normal(out, seed=seed) * 0.1)]
    return g.node("Conv", inputs, pads=[size // 2] * 4, **attributes)


def every_operator(dtype: str) -> Model:
    """Convolutions, a residual sum, gates, pools, a nearest resize, a concatenation, products and Softmax."""
    g = QuantizedGraph(dtype)
    x = g.input(normal(1, 3, 13, 13))

    conv = partial(_conv, g)
    stem = g.quantized(g.node("Relu", [conv(x, 16, 3, 3, 1, strides=[2, 2])]))
    depthwise = g.quantized(conv(stem, 16, 1, 3, 2, group=16))
    pointwise = g.quantized(conv(depthwise, 16, 16, 1, 3))
    block = g.quantized(g.node("Relu", [g.node("Add", [pointwise, stem])]))
    gate = g.quantized(g.node("Sigmoid", [g.quantized(g.node("GlobalAveragePool", [block]))]))
    gated = g.quantized(g.node("Mul", [block, gate]))
    pools = [
        g.quantized(g.node("AveragePool", [gated], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])),
        g.quantized(g.node("MaxPool", [gated], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])),
    ]
    both = g.quantized(g.node("Concat", pools, axis=1))
    resized = g.quantized(g.node("Resize", [both, "", g.constant(np.array([1, 1, 2, 2], np.float32))]))
    flat = g.node("Reshape", [both, g.constant(np.array([1, -1]))])
    logits = g.quantized(g.node("Gemm", [flat, g.weights(normal(512, 10, seed=5) * 0.1, 1)]))
    square = g.quantized(g.node("MatMul", [g.quantized(g.node("Transpose", [logits])), logits]))
    centred = g.quantized(g.node("Sub", [logits, g.quantized(g.node("ReduceMean", [logits]))]))
    return g.model(resized, square, g.quantized(g.node("Softmax", [centred])))


@pytest.mark.parametrize("emit", ["lib", "c"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_code_computes_the_integers_of_the_interpreter(dtype: str, rounding: Rounding, emit: str) -> None:
    before = every_operator(dtype)
    after = converted(before, rounding, dtype)
    assert {"ConvNhwc", "Gemm", "MatMul", "Softmax", "Table"} <= {n.op_type for n in after.graph.graph}
    assert not [note for note in after.notes if "in float" in note]
    feed = generate_inputs(before.inputs, 7)
    results = execute(after, list(feed.values()), emit=emit)
    for got, want in zip(results, Interpreter(after).run(feed), strict=True):
        np.testing.assert_array_equal(got, want)


def every_operator_of_16_bits() -> Model:
    """Sums, products, averages and moves of int16, a convolution and a product whose sums need 64 bits."""
    g = QuantizedGraph("int16")
    x = g.input(normal(1, 3, 13, 13))

    conv = partial(_conv, g)
    stem = g.quantized(g.node("Relu", [conv(x, 16, 3, 3, 1, strides=[2, 2])]))
    depthwise = g.quantized(conv(stem, 16, 1, 3, 2, group=16))
    grouped = g.quantized(conv(depthwise, 16, 4, 1, 3, group=4))
    block = g.quantized(g.node("Clip", [g.node("Add", [grouped, stem]), "", g.constant(np.float32(1.5))]))
    mean = g.quantized(g.node("GlobalAveragePool", [block]))
    gated = g.quantized(g.node("Mul", [block, mean]))
    scaled = g.quantized(g.node("Mul", [gated, g.constant(np.float32(-0.37))]))
    shifted = g.quantized(g.node("Add", [scaled, g.constant(normal(16, 1, 1, seed=4))]))
    pools = [
        g.quantized(g.node("AveragePool", [shifted], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])),
        g.quantized(g.node("MaxPool", [gated], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])),
    ]
    both = g.quantized(g.node("Concat", pools, axis=1))
    resized = g.quantized(g.node("Resize", [both, "", g.constant(np.array([1, 1, 2, 2], np.float32))]))
    padded = g.quantized(g.node("Pad", [resized, g.constant(np.array([0, 0, 0, 1, 0, 0, 2, 0]))]))
    flat = g.node("Reshape", [both, g.constant(np.array([1, -1]))])
    weights = np.sign(normal(512, 10, seed=5)) * np.linspace(0.09, 0.1, 10)
    deep = g.node("Gemm", [g.node("Concat", [flat, flat], axis=1), g.weights(np.tile(weights, (2, 1)), 1)])
    logits = g.quantized(deep)
    square = g.quantized(g.node("MatMul", [g.quantized(g.node("Transpose", [logits])), logits]))
    wide = g.quantized(g.node("MatMul", [logits, square]))
    return g.model(padded, g.quantized(g.node("Sub", [wide, g.quantized(g.node("ReduceMean", [wide]))])))


@pytest.mark.parametrize(
    ("rounding", "emit"), [("single", "lib"), ("double", "lib"), ("float", "lib"), ("single", "c")]
)
def test_integers_of_16_bits(rounding: Rounding, emit: str) -> None:
    before = every_operator_of_16_bits()
    after = converted(before, rounding, "int16")
    assert not [note for note in after.notes if "in float" in note]
    wide = [n.op_type for n in after.graph.graph if "sum_shift" in n.attributes]
    assert wide == ["Gemm", "MatMul"]
    feed = generate_inputs(before.inputs, 7)
    expected = Interpreter(after).run(feed)
    results = execute(after, list(feed.values()), emit=emit)
    for got, want, real in zip(results, expected, run_model(before, feed), strict=True):
        np.testing.assert_array_equal(got, want)
        np.testing.assert_allclose(want, real, atol=2e-3 * np.abs(real).max())


@pytest.mark.parametrize("target", ["host", "cortex-a72", "cortex-a76", "cortex-m4"])
def test_devices_compute_16_bits(tmp_path: Path, target: str) -> None:
    source = save(every_operator_of_16_bits().to_proto(), tmp_path / "net.onnx")
    built = compiled(source, target, tmp_path / "net.edge", io="int16", prove=target == "host")
    assert {info.dtype for info in (*built.artifact.manifest.inputs, *built.artifact.manifest.outputs)} == {
        "int16"
    }
    report = verify_artifact(built.artifact, per_layer=True)
    assert report.verification.max_error == report.verification.tolerance == 0.0
    assert {layer.max_error for layer in report.layers} == {0.0}


@pytest.mark.parametrize(("io", "dtype"), [("int8", "int16"), ("int16", "int8")])
def test_borders_of_another_type_are_refused(
    tmp_path: Path, io: Literal["int8", "int16"], dtype: str
) -> None:
    graph = QuantizedGraph(dtype)
    result = graph.quantized(graph.node("Relu", [graph.input(normal(2, 6))]))
    source = save(graph.model(result).to_proto(), tmp_path / "net.onnx")
    with pytest.raises(UsageError, match=rf"EC2371.*--io {io} does not fit.*as {dtype}.*--io {dtype}"):
        compiled(source, "host", tmp_path / "net.edge", io=io)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(quantize(small_cnn()), tmp_path_factory.mktemp("network") / "net.onnx")


def compiled(source: Path, target: str, output: Path, **options: Any) -> CompileResult:
    return compile_model(str(source), CompileOptions(find_target(target), **options), output)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("target", ["host", "cortex-a72", "cortex-m4"])
def test_devices_compute_the_golden_integers(
    network: Path, tmp_path: Path, target: str, rounding: Rounding
) -> None:
    built = compiled(network, target, tmp_path / "net.edge", rounding=rounding)
    report = verify_artifact(built.artifact, per_layer=True)
    assert report.verification.max_error == report.verification.tolerance == 0.0
    assert [layer.max_error for layer in report.layers] == [0.0] * len(built.artifact.manifest.steps)
    assert built.report["rounding"] == open_artifact(built.artifact.path).manifest.rounding == rounding
    assert 0 <= built.report["difference_to_float"]["prob"] < 0.05


@pytest.mark.parametrize(
    ("target", "rounding", "kind"), [("x86-64", "float", "uint8"), ("cortex-m4", "single", "int8")]
)
def test_defaults_of_a_target(network: Path, tmp_path: Path, target: str, rounding: str, kind: str) -> None:
    artifact = compiled(network, target, tmp_path / "net.edge").artifact
    assert artifact.manifest.rounding == rounding
    inner = {tensor.dtype for step in artifact.manifest.steps[:-1] for tensor in step.outputs}
    assert inner == {kind}


def test_the_file_decides_over_the_target_and_the_option_over_the_file(network: Path, tmp_path: Path) -> None:
    message = onnx.load(network)
    onnx.helper.set_model_props(message, {"edgecompile.rounding": "double"})
    source = save(message, tmp_path / "net.onnx")
    assert compiled(source, "host", tmp_path / "a.edge").artifact.manifest.rounding == "double"
    chosen = compiled(source, "host", tmp_path / "b.edge", rounding="single")
    assert chosen.artifact.manifest.rounding == "single"


def test_an_unknown_mode_in_the_file_is_refused(network: Path, tmp_path: Path) -> None:
    message = onnx.load(network)
    onnx.helper.set_model_props(message, {"edgecompile.rounding": "stochastic"})
    source = save(message, tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"EC3060.*'stochastic'.*single, double, float"):
        compiled(source, "host", tmp_path / "net.edge")


@pytest.fixture(scope="module")
def integer_borders(network: Path) -> Artifact:
    folder = network.parent / "io.edge"
    return compiled(network, "cortex-m4", folder, io="int8", emit="c", rounding="single").artifact


def test_integer_borders_are_described_and_verified(integer_borders: Artifact) -> None:
    (x,), (y,) = integer_borders.manifest.inputs, integer_borders.manifest.outputs
    assert (x.dtype, y.dtype) == ("int8", "int8")
    assert None not in (x.scale, x.zero_point, y.scale, y.zero_point)
    stored = json.loads((integer_borders.path / "manifest.json").read_text())
    assert stored["inputs"][0]["scale"] == x.scale
    assert stored["outputs"][0]["zero_point"] == y.zero_point
    inputs, outputs = load_golden(integer_borders)
    assert (inputs[0].dtype, outputs[0].dtype) == (np.int8, np.int8)
    assert verify_artifact(integer_borders).verification.max_error == 0.0


def test_integer_network_has_no_float_in_its_code(integer_borders: Artifact) -> None:
    name = integer_borders.manifest.name
    sources = [path for path in integer_borders.sources() if path.name.startswith(name)]
    assert len(sources) == 3
    for path in [*sources, integer_borders.header]:
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)
        found = re.findall(r"\b(?:float\w*|double|_Float16|half|\d+\.\d*f?|(?:nearbyint|exp|tanh)f?)\b", code)
        assert not found, f"{path.name}: {found[:5]}"


def test_integers_cannot_be_exposed_where_there_are_none(tmp_path: Path) -> None:
    source = save(small_cnn(), tmp_path / "float.onnx")
    with pytest.raises(UnsupportedError, match=r"EC4031.*'x'.*not quantized.*--io float"):
        compiled(source, "host", tmp_path / "net.edge", io="int8")


def test_one_wrong_integer_is_found(network: Path, tmp_path: Path) -> None:
    artifact = compiled(network, "host", tmp_path / "net.edge").artifact
    path = artifact.path / "golden.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    scale = np.diff(np.unique(arrays["out_0"])).min()
    arrays["out_0"][1, 0, 3] += scale
    path.write_bytes(npz_bytes(arrays))
    with pytest.raises(VerificationError, match=r"EC9001.*'prob'.*index \[1, 0, 3\].*allowed 0\."):
        verify_artifact(artifact)


def test_float_islands_are_reported_and_allowed_for(tmp_path: Path) -> None:
    graph = QuantizedGraph()
    data = graph.quantized(graph.node("Relu", [graph.input(normal(2, 6))]))
    island = graph.quantized(graph.node("LpNormalization", [data], axis=1, p=2))
    result = graph.quantized(graph.node("Sigmoid", [island]))
    source = save(graph.model(result).to_proto(), tmp_path / "net.onnx")
    built = compiled(source, "host", tmp_path / "net.edge")
    notes = [note for note in built.report["notes"] if "in float" in note]
    assert len(notes) == 1
    assert "(LpNormalization) is computed in float: there is no integer operator for it" in notes[0]
    assert sum(node.domain == DOMAIN for node in _graph(built).node) == 2
    assert verify_artifact(built.artifact).verification.passed


def decoder() -> Model:
    """What networks for images end in: transposed convolutions and interpolation between convolutions."""
    g = QuantizedGraph()
    data = g.input(normal(1, 3, 6, 5))
    stem = g.quantized(g.node("Relu", [g.node("Conv", [data, g.weights(normal(12, 3, 1, 1, seed=1))])]))

    def grown(value: str, inputs: int, outputs: int, size: int, **attributes: Any) -> str:
        weights = g.weights(normal(inputs, outputs, size, size, seed=size) * 0.3, 1)
        bias = g.constant(normal(outputs * attributes.get("group", 1), seed=size))
        wide = g.node("ConvTranspose", [value, weights, bias], strides=[2, 2], **attributes)
        return g.quantized(g.node("Relu", [wide]))

    wide = grown(stem, 12, 12, 3, pads=[1, 1, 1, 1], output_padding=[1, 1])
    sizes = g.constant(np.array([1, 12, 17, 13]))
    smooth = g.quantized(g.node("Resize", [wide, "", "", sizes], mode="linear"), like=g.values[wide])
    depthwise = grown(smooth, 12, 1, 4, pads=[1, 1, 1, 1], group=12)
    last = grown(depthwise, 12, 4, 2)
    greatest = g.node("ReduceMin", [g.node("GlobalMaxPool", [last])], keepdims=0)
    return g.model(g.quantized(g.node("Conv", [last, g.weights(normal(2, 4, 1, 1))])), g.quantized(greatest))


@pytest.mark.parametrize("target", ["host", "cortex-a76", "cortex-m4"])
def test_devices_compute_the_golden_integers_of_a_decoder(target: str, tmp_path: Path) -> None:
    source = save(decoder().to_proto(), tmp_path / "net.onnx")
    built = compiled(source, target, tmp_path / "net.edge")
    assert not [note for note in built.report["notes"] if "in float" in note]
    assert "ResizeLinear" in [node.op_type for node in _graph(built).node]
    report = verify_artifact(built.artifact, per_layer=True)
    assert report.verification.max_error == report.verification.tolerance == 0.0
    assert {layer.max_error for layer in report.layers} == {0.0}


def _graph(built: CompileResult) -> onnx.GraphProto:
    return onnx.load(built.artifact.path / "model.onnx").graph
