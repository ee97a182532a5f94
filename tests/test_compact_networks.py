"""Networks with weights in 4 bits and in float16 end to end: verified on devices, small in flash and RAM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.target import find_target
from edgecompile.execute import reference_noise
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from edgecompile.verify import verify_artifact
from tests.support.compact import CompactGraph
from tests.support.networks import save

DEVICES = ["host", "cortex-a76", "cortex-m4"]
WIDTH = 64


def layers_of_4_bits() -> onnx.ModelProto:
    """Three dense layers, with blocks of 32 and 16, and a residual sum."""
    g = CompactGraph()
    x = g.normal(1, WIDTH)
    y = g.node("Gemm", ["x", g.nibbles(WIDTH, 128, block=32), g.constant(g.normal(128))])
    y = g.node("MatMul", [g.node("Relu", [y]), g.nibbles(128, WIDTH, block=16)])
    y = g.node("LayerNormalization", [g.node("Add", [y, "x"]), g.constant(g.normal(WIDTH))])
    return g.model({"x": x}, g.node("MatMul", [y, g.nibbles(WIDTH, 10, block=32, dtype="uint4")]))


def attention_of_4_bits() -> onnx.ModelProto:
    """A table of 4 bits, and attention whose projections have weights of 4 bits."""
    g = CompactGraph()
    tokens = np.array([[3, 1, 4, 1, 5, 9, 2, 6]])
    x = g.node("Gather", [g.nibbles(50, WIDTH, block=32, axis=1), "tokens"])
    q, k, v = (g.node("MatMul", [x, g.nibbles(WIDTH, WIDTH, block=32)]) for _ in range(3))
    scores = g.node("MatMul", [q, g.node("Transpose", [k], perm=[0, 2, 1])])
    scores = g.node("Mul", [scores, g.constant(np.array(0.02, np.float32))])
    mixed = g.node("MatMul", [g.node("Softmax", [scores]), v])
    return g.model({"tokens": tokens}, g.node("MatMul", [mixed, g.nibbles(WIDTH, 20, block=32)]))


def convolutions() -> onnx.ModelProto:
    """A network in float32."""
    g = CompactGraph()
    x = g.normal(1, 3, 24, 24)
    y = g.node("Conv", ["x", g.constant(g.normal(16, 3, 3, 3))], strides=[2, 2])
    y = g.node("Conv", [g.node("Relu", [y]), g.constant(g.normal(16, 1, 3, 3))], group=16)
    y = g.node("Relu", [g.node("Conv", [y, g.constant(g.normal(64, 16, 1, 1)), g.constant(g.normal(64))])])
    y = g.node("Conv", [y, g.constant(g.normal(32, 64, 3, 3) * np.float32(0.05))], pads=[1, 1, 1, 1])
    y = g.node("Flatten", [g.node("GlobalAveragePool", [y])])
    return g.model(
        {"x": x}, g.node("Gemm", [y, g.constant(g.normal(10, 32)), g.constant(g.normal(10))], transB=1)
    )


def built(source: Path, target: str, output: Path, **options: Any) -> Artifact:
    return compile_model(str(source), CompileOptions(find_target(target), **options), output).artifact


@pytest.mark.parametrize("target", DEVICES)
@pytest.mark.parametrize("network", [layers_of_4_bits, attention_of_4_bits])
def test_weights_of_4_bits(network: Any, target: str, tmp_path: Path) -> None:
    message = network()
    artifact = built(save(message, tmp_path / "net.onnx"), target, tmp_path / "net.edge")
    report = verify_artifact(artifact, per_layer=True)
    assert report.verification.max_error < 1e-5
    assert max(reference_noise(artifact)) < 1e-5
    elements = sum(np.prod(t.dims) for t in message.graph.initializer if t.data_type in (21, 22))
    memory = artifact.manifest.memory
    # Half a byte each; scales are an eighth of a byte, or a quarter; columns are rounded up to whole vectors.
    assert memory.weights < 0.8 * elements + 2048
    assert memory.arena < elements


@pytest.mark.parametrize("target", [*DEVICES, "x86-64"])
def test_weights_in_float16(target: str, tmp_path: Path) -> None:
    source = save(convolutions(), tmp_path / "net.onnx")
    write_result(quantize_source(str(source), QuantizeOptions(recipe="fp16")), tmp_path / "half.onnx")
    half = built(tmp_path / "half.onnx", target, tmp_path / "half.edge")
    wide = built(source, target, tmp_path / "net.edge").manifest.memory
    assert verify_artifact(half, per_layer=True).verification.max_error < 1e-5
    assert half.manifest.memory.weights < 0.56 * wide.weights
    assert half.manifest.memory.arena <= wide.arena


def test_c_sources_need_no_type_for_float16(tmp_path: Path) -> None:
    source = save(convolutions(), tmp_path / "net.onnx")
    write_result(quantize_source(str(source), QuantizeOptions(recipe="fp16")), tmp_path / "half.onnx")
    artifact = built(tmp_path / "half.onnx", "cortex-m4", tmp_path / "half.edge", emit="c")
    code = (artifact.path / "src" / "half_kernels.c").read_text()
    assert "_Float16" not in code
    assert "half" not in code.replace("half_k", "")
    assert verify_artifact(artifact).verification.passed
