"""Files that lie: truncated, damaged, of another kind, with impossible numbers."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edgecompile.errors import InputError, UnsupportedError
from edgecompile.frontend.load import import_model
from edgecompile.frontend.tflite.importer import load_tflite
from edgecompile.frontend.tflite.schema import read_network
from tests.frontend.tflite.cases import conv_cases, structure_cases
from tests.support.tflite_files import TFLiteFile


def small(**changes: object) -> TFLiteFile:
    file = TFLiteFile()
    file.tensor("x", (2, 3))
    file.constant("c", np.ones((2, 3)), "float32")
    file.tensor("y", (2, 3))
    file.op("ADD", ["x", "c"], ["y"], "AddOptions")
    for name, value in changes.items():
        setattr(file.tensors[1], name, value)
    return file


def message(file: TFLiteFile) -> str:
    with pytest.raises(InputError) as caught:
        read_network(file.build(["x"], ["y"]), "net.tflite")
    return str(caught.value)


def test_content_of_a_file() -> None:
    network = read_network(small().build(["x"], ["y"]), "net.tflite")
    assert next((t.name, t.shape, t.kind, t.dtype) for t in network.tensors) == (
        "x",
        (2, 3),
        "FLOAT32",
        "float32",
    )
    assert (network.inputs, network.outputs) == ((0,), (2,))
    (operator,) = network.operators
    assert (operator.name, operator.inputs, operator.outputs) == ("ADD", (0, 1), (2,))
    assert operator.options == {"FusedActivationFunction": 0, "PotScaleInt16": True}
    assert network.tensors[1].data is not None
    assert network.tensors[1].data.tolist() == [[1] * 3] * 2


@pytest.mark.parametrize("data", [b"", b"TFL3", bytes(100), b"\x1c\0\0\0ONNX" + bytes(50)])
def test_other_kinds_of_files(data: bytes) -> None:
    with pytest.raises(
        InputError, match=r"EC3161\] 'x.tflite' is not a TensorFlow Lite model: it has no identifier"
    ):
        read_network(data, "x.tflite")


def test_a_damaged_offset_is_named_as_damage() -> None:
    data = struct.pack("<I", 2**31) + small().build(["x"], ["y"])[4:]
    with pytest.raises(InputError, match=r"EC3162\] 'x.tflite' is truncated or damaged"):
        read_network(data, "x.tflite")


def test_impossible_dimensions() -> None:
    assert "EC3121] tensor 'c' has impossible dimensions" in message(small(shape=(2, -3), data=b""))
    assert "EC3121] tensor 'c' has impossible dimensions" in message(small(shape=(1,) * 17, data=b""))
    assert "EC3121] tensor 'c' is too large" in message(small(shape=(2**30, 2**30), data=b""))


def test_data_that_does_not_fit_its_shape() -> None:
    text = message(small(data=bytes(20)))
    assert (
        "EC3122] the data of constant 'c' is damaged at 'c': 20 bytes for [2, 3] of FLOAT32, which takes 24"
        in text
    )


@pytest.mark.parametrize(
    ("scale", "zero_point", "why"),
    [
        ([0.0], [0], "a scale is not a positive number"),
        ([float("nan")], [0], "a scale is not a positive number"),
        ([0.1], [300], "a zero point does not fit INT8"),
        ([0.1, 0.2, 0.3], [0, 0], "3 scales, 2 zero points"),
        ([0.1, 0.2, 0.3], [0, 0, 0], r"3 scales along axis 0 of [2, 3]"),
    ],
)
def test_impossible_quantization(scale: list[float], zero_point: list[int], why: str) -> None:
    text = message(small(kind="INT8", data=bytes(6), scale=scale, zero_point=zero_point))
    assert f"EC3163] the quantization of 'c' is impossible at 'c': {why}" in text


def test_indices_of_tensors_that_do_not_exist(tmp_path: Path) -> None:
    file = small()
    file.operators[0].inputs = [0, 99]
    path = tmp_path / "net.tflite"
    path.write_bytes(file.build(["x"], ["y"]))
    with pytest.raises(InputError, match=r"EC3164\] ADD names tensor 99, which does not exist: there are 3"):
        load_tflite(path)


def test_constants_that_hold_nan(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(small(data=np.full((2, 3), np.nan, np.float32).tobytes()).build(["x"], ["y"]))
    with pytest.raises(InputError, match=r"EC3123\] initializer 'c' holds NaN"):
        load_tflite(path)


def test_damage_is_reported_through_the_guarded_process(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(small().build(["x"], ["y"])[:60])
    with pytest.raises(InputError, match=r"EC3162\].*net.tflite' is truncated or damaged"):
        import_model(str(path))


@pytest.mark.parametrize("seed", range(4))
def test_damage_anywhere_is_an_error_of_the_input_or_harmless(seed: int, tmp_path: Path) -> None:
    """Truncated files and files with changed bytes are refused with a code, or imported."""
    generator = random.Random(seed)
    sources = [next(iter(conv_cases("int8"))).data, next(iter(structure_cases("float32"))).data]
    path = tmp_path / "net.tflite"
    for _ in range(60):
        data = bytearray(generator.choice(sources))
        if generator.random() < 0.3:
            data = data[: generator.randrange(len(data))]
        for _ in range(generator.randrange(1, 8)):
            if len(data) > 8:
                data[generator.randrange(8, len(data))] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
        path.write_bytes(bytes(data) or b"\0")
        with suppress(InputError, UnsupportedError):
            load_tflite(path)
