"""A saved Core ML model as data: operations in order, constants from its file of weights.

That file (MIL blob storage, version 2) begins with 64 bytes of header. At the offset that a value names are
64 bytes about it: sentinel, type, size and position of its bytes; several values of less than 8 bits share a
byte, the first in the lowest bits.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.coreml.evaluator.wire import decode

Array = np.ndarray[Any, Any]

# The files of a package.
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"

# DataType of MIL.proto: NumPy's type, and bits of an element where these are fewer than 8.
_TYPES: dict[int, tuple[str, int]] = {
    1: ("bool", 8), 2: ("str", 8), 10: ("float16", 16), 11: ("float32", 32), 12: ("float64", 64),
    21: ("int8", 8), 22: ("int16", 16), 23: ("int32", 32), 24: ("int64", 64), 25: ("int8", 4),
    31: ("uint8", 8), 32: ("uint16", 16), 33: ("uint32", 32), 34: ("uint64", 64), 35: ("uint8", 4),
    36: ("uint8", 2), 37: ("uint8", 1), 38: ("uint8", 6), 39: ("uint8", 3),
}  # fmt: skip
_SIGNED_NIBBLES = 25
# ArrayDataType of FeatureTypes.proto.
_FEATURE_TYPES = {65568: "float32", 65600: "float64", 131104: "int32", 65552: "float16", 131080: "int8"}
_SENTINEL = 0xDEADBEEF


@dataclass(frozen=True)
class Result:
    """What an operation, or the caller, gives: a tensor of `shape` elements of NumPy's type `dtype`."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One operation: its arguments are names of values, or lists of names. `given` are its constants."""

    type: str
    name: str
    arguments: dict[str, str | list[str]]
    given: dict[str, Any]
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Program:
    """The function "main" of a model."""

    inputs: tuple[Result, ...]
    outputs: tuple[Result, ...]
    operations: tuple[Operation, ...]


def read_program(package: Path) -> Program:
    """The program in an .mlpackage. Raises ValueError or OSError for files that are none."""
    model = decode((package / MODEL).read_bytes(), "Model")
    path = package / WEIGHTS
    weights = path.read_bytes() if path.is_file() else b""
    function = model["program"]["functions"]["main"]
    block = function["blocks"][function["opset"]]
    inputs, outputs = (
        tuple(_feature(feature) for feature in model["description"][side]) for side in ("inputs", "outputs")
    )
    return Program(inputs, outputs, tuple(_operation(entry, weights) for entry in block["operations"]))


def _feature(feature: dict[str, Any]) -> Result:
    array = feature["type"]["array"]
    return Result(feature["name"], _FEATURE_TYPES[array["dtype"]], tuple(array["shape"]))


def _operation(entry: dict[str, Any], weights: bytes) -> Operation:
    attributes = {name: _value(value, weights) for name, value in entry["attributes"].items()}
    arguments: dict[str, str | list[str]] = {}
    for parameter, argument in entry["inputs"].items():
        bindings = argument["bindings"]
        if "value" in bindings[0]:
            attributes[parameter] = _value(bindings[0]["value"], weights)
        else:
            names = [binding["name"] for binding in bindings]
            arguments[parameter] = names[0] if len(names) == 1 else names
    name = str(attributes.pop("name", ""))
    results = tuple(_result(output) for output in entry["outputs"])
    return Operation(entry["type"], name, arguments, attributes, results)


def _result(output: dict[str, Any]) -> Result:
    tensor = output["type"]["tensor"]
    return Result(output["name"], _TYPES[tensor["dtype"]][0], _shape(tensor))


def _shape(tensor: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(dimension["constant"].get("size", 0)) for dimension in tensor["dimensions"])


def _value(value: dict[str, Any], weights: bytes) -> Any:
    """A constant: an array, or a str."""
    tensor = value["type"]["tensor"]
    code, shape = tensor["dtype"], _shape(tensor)
    dtype, _ = _TYPES[code]
    if "file" in value:
        return _stored(weights, value["file"]["offset"], code, shape)
    (kind, content), *_ = value["immediate"]["tensor"].items() or [("ints", {"values": []})]
    values = content.get("values", b"" if kind == "bytes" else [])
    if dtype == "str":
        return values[0]
    if kind == "bytes":
        return _unpacked(values, code, shape)
    array = np.asarray(values, dtype)
    return array.reshape(shape)


def _stored(weights: bytes, offset: int, code: int, shape: tuple[int, ...]) -> Array:
    sentinel, _, size, start = struct.unpack_from("<IIQQ", weights, offset)
    if sentinel != _SENTINEL:
        raise ValueError(f"there are no weights at byte {offset} of {WEIGHTS}")
    return _unpacked(weights[start : start + size], code, shape)


def _unpacked(data: bytes, code: int, shape: tuple[int, ...]) -> Array:
    dtype, bits = _TYPES[code]
    if bits >= 8:
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)
    numbers = unpack_bits(np.frombuffer(data, np.uint8), bits, math.prod(shape)).reshape(shape)
    if code == _SIGNED_NIBBLES:
        return ((numbers.astype(np.int8) ^ 8) - 8).astype(np.int8)
    return numbers


def unpack_bits(data: Array, bits: int, count: int) -> Array:
    """`count` numbers of `bits` bits each as uint8, the first in the lowest bits of the first byte."""
    columns = np.unpackbits(data, bitorder="little")[: bits * count].reshape(count, bits)
    return np.asarray(columns @ (1 << np.arange(bits)), np.uint8)
