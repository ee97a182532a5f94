"""Generated layers are the kernels that networks have."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from benchmarks.layers import Layer, save_layers
from edgecompile.core.target import find_target
from edgecompile.tuning.tune import TuneOptions, list_tasks

LAYERS = [
    Layer("conv", 8, 16, 12, kernel=3, stride=2, activation="relu"),
    Layer("conv", 8, 16, 12, activation="relu", residual=True),
    Layer("depthwise", 16, size=12, kernel=3, activation="relu6"),
    Layer("dense", 64, 24),
    Layer("matmul", 32, 48, 10),
]


def test_shapes_are_what_the_operators_compute(tmp_path: Path) -> None:
    path = save_layers(LAYERS, tmp_path / "layers.onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [value.shape for value in session.get_outputs()] == [layer.output_shape for layer in LAYERS]


@pytest.mark.parametrize(
    ("layer", "kernels"),
    [
        (LAYERS[0], {"ConvNhwc+Relu 3x3 -> 1x6x6x16"}),
        (LAYERS[1], {"ConvNhwc 1x1 -> 1x12x12x16", "ConvNhwc+Add+Relu 1x1 -> 1x12x12x16"}),
        (LAYERS[3], {"Gemm -> 1x24"}),
        (LAYERS[4], {"MatMul+Add -> 1x10x48"}),
    ],
)
def test_they_become_the_kernels_of_networks(tmp_path: Path, layer: Layer, kernels: set[str]) -> None:
    path = save_layers([layer], tmp_path / "layer.onnx")
    tasks = list_tasks(str(path), TuneOptions(find_target("cortex-a72"), tmp_path))
    assert kernels <= {str(task.task.workload.description["name"]) for task in tasks}


def test_names_differ() -> None:
    assert len({layer.name for layer in LAYERS}) == len(LAYERS)


def test_the_same_layers_are_the_same_file(tmp_path: Path) -> None:
    first, second = (save_layers(LAYERS, tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx"))
    assert first == second
