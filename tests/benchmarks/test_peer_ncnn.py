"""ncnn as one of the runtimes to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks.layers import Layer, save_layers
from benchmarks.networks import describe, quantized_copy
from benchmarks.peer_ncnn import Ncnn, _compare


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    layer = Layer("conv", 8, 16, 12, kernel=3, activation="relu")
    return save_layers([layer], tmp_path_factory.mktemp("ncnn") / "layer.onnx")


def inputs(name: str = "conv_3x3_relu_12_8_16_x") -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(0).standard_normal((1, 8, 12, 12)).astype(np.float32)}


def test_only_float_networks_in_onnx_are_read(network: Path, tmp_path: Path) -> None:
    assert Ncnn().reads(network)
    assert not Ncnn().reads(Path("net.tflite"))
    assert not Ncnn().reads(quantized_copy(describe(network), tmp_path))


def test_it_computes_the_same(network: Path) -> None:
    pytest.importorskip("ncnn", reason="ncnn not found (pip install 'edgecompile[bench]')")
    pytest.importorskip("pnnx", reason="pnnx not found (pip install 'edgecompile[bench]')")
    outputs = cast(Sequence[np.ndarray], Ncnn().prepare(network, inputs(), 1)())
    assert [np.array(output).shape for output in outputs] == [(16, 12, 12)]


def test_another_network_is_no_contestant(network: Path) -> None:
    with pytest.raises(RuntimeError, match="ncnn computes something else"):
        _compare(network, inputs(), [np.zeros((16, 12, 12), np.float32)])
