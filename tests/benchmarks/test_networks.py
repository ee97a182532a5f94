"""What is measured, and what a network costs by its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.networks import CORE, describe, find_networks
from edgecompile.errors import UsageError


def save(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], y: list[int]) -> Path:
    """A network x [1, 3, 8, 8] -> y."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def test_a_float_network_is_counted(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "d"], ["e"], group=4),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["h"], transB=1),
        helper.make_node("MatMul", ["h", "m"], ["y"]),
    ]
    shapes = {"w": (4, 3, 3, 3), "d": (4, 1, 3, 3), "g": (10, 16), "m": (10, 5)}
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    network = describe(save(tmp_path / "net.onnx", nodes, weights, [1, 5]))
    # Convolutions make 4x4x4 and 4x2x2 elements, of 27 and 9 products each.
    assert network.macs == 64 * 27 + 16 * 9 + 160 + 50
    assert network.weight_bytes == 4 * (108 + 36 + 160 + 50)
    assert (network.name, network.dtype) == ("net", "float32")


def test_a_network_that_quantizes_is_an_integer_network(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["f"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["g"]),
        helper.make_node("Conv", ["f", "g"], ["y"]),
    ]
    weights: dict[str, np.ndarray] = {
        "s": np.asarray(0.1, np.float32),
        "z": np.asarray(0, np.int8),
        "w": np.ones((2, 3, 1, 1), np.int8),
    }
    network = describe(save(tmp_path / "net.onnx", nodes, weights, [1, 2, 8, 8]))
    assert (network.dtype, network.macs) == ("int8", 2 * 3 * 64)
    # One byte a weight; the scale and the zero point are too few to matter.
    assert 6 <= network.weight_bytes <= 8


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("kws_dscnn.onnx", "other.onnx", "notes.txt"):
        (folder / name).touch()
    monkeypatch.setenv("EDGECOMPILE_ZOO", str(tmp_path))
    return folder


def test_networks_are_those_of_the_zoo(zoo: Path) -> None:
    assert find_networks([], [], core=False) == [zoo / "kws_dscnn.onnx", zoo / "other.onnx"]
    assert find_networks([], [], core=True) == [zoo / "kws_dscnn.onnx"]
    assert find_networks([], ["other"], core=True) == [zoo / "other.onnx"]


def test_files_that_are_named_are_measured_whatever_they_are(zoo: Path) -> None:
    assert find_networks(["a/x.onnx", "y.tflite"], [], core=True) == [Path("a/x.onnx"), Path("y.tflite")]


def test_unknown_names_are_refused_at_once(zoo: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_networks([], ["kws_dscn", "other", "nothing_like_it"], core=False)
    assert [problem.code for problem in caught.value.problems] == ["EC2302", "EC2302"]
    assert "did you mean 'kws_dscnn'?" in str(caught.value)


def test_without_a_zoo_networks_have_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGECOMPILE_ZOO", raising=False)
    with pytest.raises(UsageError, match=r"EC2301.*EDGECOMPILE_ZOO"):
        find_networks([], [], core=False)


def test_the_core_networks_are_named_once() -> None:
    assert len(set(CORE)) == len(CORE)
