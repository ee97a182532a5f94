"""What an imported graph looks like, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import InputError, UnsupportedError
from edgecompile.frontend.load import import_model
from edgecompile.frontend.tflite.importer import load_tflite
from edgecompile.passes.prove import run_model
from tests.frontend.tflite.cases import conv_cases, fully_connected_case
from tests.frontend.tflite.net import SAME
from tests.support.graphs import operators
from tests.support.tflite_files import TFLiteFile


def imported(data: bytes, folder: Path) -> Model:
    path = folder / "net.tflite"
    path.write_bytes(data)
    return load_tflite(path)


def refused(file: TFLiteFile, folder: Path, inputs: list[str], outputs: list[str]) -> str:
    with pytest.raises((InputError, UnsupportedError)) as caught:
        imported(file.build(inputs, outputs), folder)
    return str(caught.value)


def test_a_quantized_convolution(tmp_path: Path) -> None:
    case = next(case for case in conv_cases("int8") if case.name == "conv_2d-1-int8")
    model = imported(case.data, tmp_path)
    assert operators(model) == [
        "Transpose",
        "DequantizeLinear",  # data
        "DequantizeLinear",  # weights
        "DequantizeLinear",  # bias
        "Conv",
        "Relu",
        "QuantizeLinear",
        "Transpose",
    ]
    nodes = list(model.graph.graph)
    assert [node.name for node in nodes[4:6]] == ["y0", "y0/Relu"]
    assert list(nodes[4].attributes["pads"].as_ints()) == [1, 0, 1, 1]  # 7 rows, 8 columns, stride 2
    weights, scales = nodes[2].inputs[0], nodes[2].inputs[1]
    assert weights is not None
    assert scales is not None
    assert weights.const_value is not None
    assert weights.const_value.numpy().shape == (5, 3, 3, 3)
    assert nodes[2].attributes["axis"].as_int() == 0
    assert scales.const_value is not None
    bias_scales = nodes[3].inputs[1]
    assert bias_scales is not None
    assert bias_scales.const_value is not None
    np.testing.assert_array_equal(
        bias_scales.const_value.numpy(), np.float32(0.05) * scales.const_value.numpy()
    )


def test_borders_stay_integers_and_say_what_they_mean(tmp_path: Path) -> None:
    model = imported(fully_connected_case("int8", 2, "none", True, False).data, tmp_path)
    (x,), (y,) = model.inputs, model.graph.graph.outputs
    assert (x.dtype, x.scale, x.zero_point) == ("int8", float(np.float32(0.05)), -4)
    assert (str(y.dtype), y.metadata_props["edgecompile.zero_point"]) == ("INT8", "7")
    assert model.graph.metadata_props["edgecompile.rounding"] == "double"
    assert model.provenance.producer == "test"


def test_activation_that_the_quantization_implies_is_left_out(tmp_path: Path) -> None:
    file = TFLiteFile()
    a = file.tensor("a", (2, 3), "INT8", 0.05, 0)
    y = file.tensor("y", (2, 3), "INT8", 6 / 255, -128)
    file.op("ADD", [a, a], [y], "AddOptions", FusedActivationFunction=3)
    assert operators(imported(file.build([a], [y]), tmp_path)) == [
        "DequantizeLinear",
        "Add",
        "QuantizeLinear",
    ]


def test_layers_have_the_names_of_the_file(tmp_path: Path) -> None:
    file = TFLiteFile()
    x = file.tensor("x", (2, 3))
    y = file.tensor("act/Relu;block/dense/BiasAdd/ReadVariableOp/resource", (2, 3))
    z = file.tensor("Identity", (2, 3))
    file.op("ABS", [x], [y])
    file.op("EXP", [y], [z])
    model = imported(file.build([x], [z]), tmp_path)
    assert [node.name for node in model.graph.graph] == ["block/dense/BiasAdd", "Identity"]
    assert [value.name for value in (*model.graph.graph.inputs, *model.graph.graph.outputs)] == [
        "x",
        "Identity",
    ]


def test_names_that_occur_twice(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (2,), "INT8", 0.5, 3), file.tensor("y", (2,), "INT8", 0.25, 5)
    for position, values in enumerate(([2, 2], [3, 3], [4, 4])):
        file.constant(f"c{position}", values, "int8", 0.5)
    file.tensor("s", (2,), "INT8", 0.5, 0)
    file.tensor("t", (2,), "INT8", 0.5, 0)
    file.op("MAXIMUM", ["c0", "c1"], ["s"])
    file.op("MAXIMUM", ["s", "c2"], ["t"])
    file.op("ADD", [x, "t"], [y], "AddOptions")
    for tensor, name in zip(file.tensors[2:], ["c", "c", "c#1", "x", "y"], strict=True):
        tensor.name = name
    model = imported(file.build([x], [y]), tmp_path)
    (result,) = run_model(model, {"x": np.array([3, 5], np.int8)})
    np.testing.assert_array_equal(result, [5 + 8, 5 + 12])


def test_outputs_may_be_inputs_or_constants(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, c = file.tensor("x", (2,)), file.constant("c", [1.0, 2.0], "float32")
    model = imported(file.build([x], [x, c]), tmp_path)
    given, constant = run_model(model, {"x": np.array([3, 4], np.float32)})
    np.testing.assert_array_equal(given, [3, 4])
    np.testing.assert_array_equal(constant, [1, 2])


def test_free_dimensions_are_noted(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (1, 3), signature=(-1, 3)), file.tensor("y", (1, 3))
    file.op("ABS", [x], [y])
    assert imported(file.build([x], [y]), tmp_path).notes == ("dimension 0 of input 'x' bound to 1",)


def test_integer_weights_with_real_data(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (1, 2)), file.tensor("y", (1, 3))
    w = file.constant("w", [[1, 2], [3, 4], [5, 6]], "int8", 0.5)
    file.op("FULLY_CONNECTED", [x, w, ""], [y], "FullyConnectedOptions")
    model = imported(file.build([x], [y]), tmp_path)
    assert operators(model) == ["DequantizeLinear", "Gemm"]
    assert model.notes == (
        "FULLY_CONNECTED 'y': its data is not quantized on the fly, only its weights are integers",
    )
    (result,) = run_model(model, {"x": np.array([[1, 10]], np.float32)})
    np.testing.assert_array_equal(result, [[10.5, 21.5, 32.5]])


def test_four_bit_weights_are_unpacked(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (3,)), file.tensor("y", (3,))
    w = file.tensor("w", (3,), "INT4", 0.5, 0, data=bytes([0x97, 0x0F]))  # 7, -7, -1
    file.tensor("real", (3,))
    file.op("DEQUANTIZE", [w], ["real"])
    file.op("ADD", [x, "real"], [y], "AddOptions")
    (result,) = run_model(imported(file.build([x], [y]), tmp_path), {"x": np.zeros(3, np.float32)})
    np.testing.assert_array_equal(result, [3.5, -3.5, -0.5])


def test_import_works_through_the_guarded_process(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(next(iter(conv_cases("float32"))).data)
    assert "Conv" in operators(import_model(str(path)))


def test_unknown_and_stateful_operators_are_listed_together(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, h, y = file.tensor("x", (2,)), file.tensor("h", (), "RESOURCE"), file.tensor("y", (2,))
    file.op("VAR_HANDLE", [], [h], "VarHandleOptions")
    file.op("ASSIGN_VARIABLE", [h, x], [])
    file.op("MyOwnOp", [x], [y])
    text = refused(file, tmp_path, [x], [y])
    assert (
        "EC4141] operator VAR_HANDLE cannot be imported at 'h': it keeps a state between runs. Fix:" in text
    )
    assert "operator ASSIGN_VARIABLE cannot be imported at 'h'" in text
    assert "operator MyOwnOp cannot be imported at 'y': it has no translation" in text


def test_variants_of_several_operators_are_listed_together(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, i, y, z = (
        file.tensor("x", (2, 3)),
        file.tensor("i", (1,), "INT32"),
        file.tensor("y", (2, 3)),
        file.tensor("z", (2, 3)),
    )
    file.op("GATHER", [x, i], [y], "GatherOptions", BatchDims=1)
    file.op("SUM", [y, i], [z], "ReducerOptions")
    text = refused(file, tmp_path, [x, i], [z])
    assert "EC4144] GATHER cannot be imported at 'y': batch_dims is 1. Fix: use batch_dims=0" in text
    assert "EC4142] SUM cannot be imported at 'z': its input 1, 'i', is computed at run time" in text


def test_integer_lstm_is_refused_by_name(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (1, 2, 3), "INT8", 0.1, 0), file.tensor("lstm", (1, 2, 4), "INT8", 0.1, 0)
    file.op("UNIDIRECTIONAL_SEQUENCE_LSTM", [x], [y], "UnidirectionalSequenceLSTMOptions")
    text = refused(file, tmp_path, [x], [y])
    assert "EC4144] UNIDIRECTIONAL_SEQUENCE_LSTM cannot be imported at 'lstm': its integer arithmetic" in text


def test_dynamic_shapes_are_refused(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (1, -1)), file.tensor("y", (1, -1))
    file.op("ABS", [x], [y])
    text = refused(file, tmp_path, [x], [y])
    assert "EC4143] the shape of tensor 'x' is not known at compile time at 'x': it is [1, -1]" in text


def test_sixteen_bit_activations_are_refused(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (2,), "INT16", 0.1, 0), file.tensor("y", (2,), "INT16", 0.1, 0)
    file.op("ADD", [x, x], [y], "AddOptions")
    text = refused(file, tmp_path, [x], [y])
    assert (
        "EC4144] tensor 'x' is quantized to another width than 8 bits at 'x': it is INT16 with a scale"
        in text
    )


def test_shapes_that_contradict_each_other(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (2, 3)), file.tensor("y", (2, 4))
    file.op("ABS", [x], [y])
    assert "EC3166] the file contradicts itself" in refused(file, tmp_path, [x], [y])


def test_window_without_stride(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (1, 4, 4, 2)), file.tensor("y", (1, 4, 4, 2))
    file.op("MAX_POOL_2D", [x], [y], "Pool2DOptions", FilterHeight=2, FilterWidth=2, Padding=SAME)
    text = refused(file, tmp_path, [x], [y])
    assert "EC3165] MAX_POOL_2D is not valid at 'y': kernel [2, 2], strides [0, 0]" in text


def test_numbers_that_no_converter_writes(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (2, 3)), file.tensor("y", (2,))
    file.op("SPLIT", [file.constant("axis", 1), x], [y], "SplitOptions", NumSplits=1)
    text = refused(file, tmp_path, [x], [y])
    assert "EC3165] SPLIT is not valid at 'y': IndexError: tuple index out of range" in text


def test_a_cycle_is_a_read_before_a_write(tmp_path: Path) -> None:
    file = TFLiteFile()
    a, b = file.tensor("a", (2,)), file.tensor("b", (2,))
    file.op("ABS", [b], [a])
    file.op("EXP", [a], [b])
    assert "EC3164] tensor 'b' is read before it is computed at 'a'" in refused(file, tmp_path, [], [b])


def test_a_tensor_has_one_operator(tmp_path: Path) -> None:
    file = TFLiteFile()
    x, y = file.tensor("x", (2,)), file.tensor("y", (2,))
    file.op("ABS", [x], [y])
    file.op("EXP", [x], [y])
    assert "EC3164] tensor 'y' is computed twice at 'y'" in refused(file, tmp_path, [x], [y])
