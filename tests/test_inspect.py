"""Layers, multiply-accumulates, parameters and activation peak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecompile.cli.main import main
from edgecompile.errors import UnsupportedError
from edgecompile.frontend.options import ImportOptions
from edgecompile.inspect import Inspection, inspect_source
from tests.support.networks import small_cnn, stateful_lstm

Shapes = dict[str, list[int]]


def inspect(model: onnx.ModelProto, folder: Path) -> Inspection:
    onnx.save_model(model, folder / "net.onnx")
    return inspect_source(str(folder / "net.onnx"), ImportOptions())


def one_node(
    operator: str, inputs: Shapes, weights: Shapes, output: list[int], **attributes: Any
) -> onnx.ModelProto:
    """A network of one node."""
    graph = helper.make_graph(
        [helper.make_node(operator, [*inputs, *weights], ["y"], "/node", **attributes)],
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.ones(dims, np.float32), name) for name, dims in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


@pytest.mark.parametrize(
    ("model", "macs", "parameters"),
    [
        # 2 x 5 x 5 outputs, each the sum over 3 x 3 x 3 products
        (one_node("Conv", {"x": [1, 3, 7, 7]}, {"w": [2, 3, 3, 3]}, [1, 2, 5, 5]), 50 * 27, 54),
        # two groups: each output sees half of the channels
        (one_node("Conv", {"x": [1, 4, 5, 5]}, {"w": [4, 2, 1, 1]}, [1, 4, 5, 5], group=2), 100 * 2, 8),
        # every one of the 3 x 4 x 4 inputs meets 2 x 2 x 2 weights
        (one_node("ConvTranspose", {"x": [1, 3, 4, 4]}, {"w": [3, 2, 2, 2]}, [1, 2, 5, 5]), 48 * 8, 24),
        (one_node("Gemm", {"x": [5, 4]}, {"w": [5, 3], "b": [3]}, [4, 3], transA=1), 12 * 5, 18),
        (one_node("MatMul", {"a": [2, 4, 5], "b": [2, 5, 3]}, {}, [2, 4, 3]), 24 * 5, 0),
        # 8 queries x 6 keys, 4 wide, twice
        (one_node("Attention", {"q": [1, 2, 8, 4]} | {key: [1, 2, 6, 4] for key in "kv"}, {}, [1, 2, 8, 4]),
         2 * 8 * 6 * 4 * 2, 0),
        (one_node("Relu", {"x": [1, 9]}, {}, [1, 9]), 0, 0),
    ],
    ids=lambda value: value.graph.node[0].op_type if isinstance(value, onnx.ModelProto) else None,
)  # fmt: skip
def test_costs_of_an_operator(model: onnx.ModelProto, macs: int, parameters: int, tmp_path: Path) -> None:
    found = inspect(model, tmp_path)
    assert (found.macs, found.parameters) == (macs, parameters)
    assert found.parameter_bytes == 4 * parameters
    assert found.activation_peak_bytes == 0


def test_recurrent_layers_count_every_time_step(tmp_path: Path) -> None:
    found = inspect(stateful_lstm(), tmp_path)
    steps, gates, hidden, width = 4, 4, 5, 6
    assert found.macs == steps * gates * hidden * (width + hidden)
    assert [len(tensors) for tensors in (found.inputs, found.outputs)] == [3, 3]


def test_a_network_layer_by_layer(tmp_path: Path) -> None:
    found = inspect(small_cnn(), tmp_path)
    assert [layer.name for layer in found.layers][:3] == ["stem", "stem_bn", "stem_relu"]
    stem = found.layers[0]
    assert (stem.operator, stem.outputs[0].shape, stem.macs) == ("Conv", (1, 8, 6, 6), 288 * 27)
    # The residual, the depthwise result and the pointwise result, 8 x 6 x 6 floats each, are alive together.
    assert found.activation_peak_bytes == 3 * 288 * 4
    assert found.source == "net.onnx"


def test_a_shape_that_is_not_known_names_the_option(tmp_path: Path) -> None:
    model = one_node("Relu", {"x": [1, 9]}, {}, [1, 9])
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "width"
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "width"
    with pytest.raises(UnsupportedError, match=r"'x' is not known.*--input x:1,"):
        inspect(model, tmp_path)


def test_the_command_prints_a_table_and_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save_model(small_cnn(), tmp_path / "net.onnx")
    assert main(["inspect", str(tmp_path / "net.onnx")]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["LAYER", "OPERATOR", "OUTPUT", "MACS", "PARAMETERS"]
    assert lines[1].split() == ["stem", "Conv", "1x8x6x6", "7,776", "216"]
    assert "input            x: float32 1x3x12x12" in lines
    assert "layers           11" in lines
    assert printed.err == "reading net.onnx ...\n"


def test_the_command_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save_model(small_cnn(), tmp_path / "net.onnx")
    assert main(["inspect", str(tmp_path / "net.onnx"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is True
    assert record["macs"] == sum(layer["macs"] for layer in record["layers"])


def test_an_empty_file_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert main(["inspect", str(tmp_path / "empty.onnx")]) == 3
    assert "is empty" in capsys.readouterr().err
