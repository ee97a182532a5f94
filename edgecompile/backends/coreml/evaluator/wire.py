"""Reads the protocol buffers of a Core ML model.

Which fields there are, and their numbers, is Core ML's format (Model.proto, FeatureTypes.proto, MIL.proto);
those that a program without control flow does not have are left out, and skipped where a file has them.
The wire format is https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# A message as data: number of a field → (its name, what it is). "*" in front marks a list, "{}" a map from
# strings. What it is: another message, "int", "text", "bytes", or a NumPy type whose numbers may be packed.
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "Model": {1: ("version", "int"), 2: ("description", "Description"), 502: ("program", "Program")},
    "Description": {1: ("inputs", "*Feature"), 10: ("outputs", "*Feature")},
    "Feature": {1: ("name", "text"), 3: ("type", "FeatureType")},
    "FeatureType": {5: ("array", "FeatureArray")},
    "FeatureArray": {1: ("shape", "*int"), 2: ("dtype", "int")},
    "Program": {2: ("functions", "{}Function")},
    "Function": {1: ("inputs", "*Named"), 2: ("opset", "text"), 3: ("blocks", "{}Block")},
    "Block": {2: ("outputs", "*text"), 3: ("operations", "*Operation")},
    "Operation": {
        1: ("type", "text"),
        2: ("inputs", "{}Argument"),
        3: ("outputs", "*Named"),
        5: ("attributes", "{}Value"),
    },
    "Argument": {1: ("bindings", "*Binding")},
    "Binding": {1: ("name", "text"), 2: ("value", "Value")},
    "Named": {1: ("name", "text"), 2: ("type", "ValueType")},
    "ValueType": {1: ("tensor", "TensorType")},
    "TensorType": {1: ("dtype", "int"), 2: ("rank", "int"), 3: ("dimensions", "*Dimension")},
    "Dimension": {1: ("constant", "ConstantDimension")},
    "ConstantDimension": {1: ("size", "int")},
    "Value": {2: ("type", "ValueType"), 3: ("immediate", "Immediate"), 5: ("file", "File")},
    "File": {1: ("name", "text"), 2: ("offset", "int")},
    "Immediate": {1: ("tensor", "Tensor")},
    "Tensor": {
        1: ("floats", "Floats"),
        2: ("ints", "Ints"),
        3: ("bools", "Bools"),
        4: ("strings", "Strings"),
        5: ("longs", "Longs"),
        6: ("doubles", "Doubles"),
        7: ("bytes", "Bytes"),
    },
    "Floats": {1: ("values", "<f4")},
    "Doubles": {1: ("values", "<f8")},
    "Ints": {1: ("values", "*int")},
    "Longs": {1: ("values", "*int")},
    "Bools": {1: ("values", "*int")},
    "Strings": {1: ("values", "*text")},
    "Bytes": {1: ("values", "bytes")},
}
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def decode(data: bytes, message: str) -> dict[str, Any]:
    """The fields of a message by name; lists and maps are there when empty, other fields are not.

    Raises ValueError for what is no protocol buffer.
    """
    fields = _MESSAGES[message]
    found: dict[str, Any] = {name: [] for name, kind in fields.values() if kind[0] == "*"}
    found |= {name: {} for name, kind in fields.values() if kind[:2] == "{}"}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        raw, position = _raw(data, position, tag & 7)
        if tag >> 3 in fields:
            _store(found, *fields[tag >> 3], raw)
    return found


def _store(found: dict[str, Any], name: str, kind: str, raw: Any) -> None:
    if kind == "*int" and isinstance(raw, bytes):
        found[name] += _packed(raw)
    elif kind[0] == "*":
        found[name].append(_value(kind[1:], raw))
    elif kind[:2] == "{}":
        key, value = _entry(raw)
        found[name][key] = decode(value, kind[2:])
    elif kind[0] == "<":
        numbers = np.frombuffer(raw, kind)
        found[name] = np.concatenate([found[name], numbers]) if name in found else numbers
    else:
        found[name] = _value(kind, raw)


def _value(kind: str, raw: Any) -> Any:
    if kind == "int":
        return _signed(raw)
    if kind == "text":
        return raw.decode()
    return raw if kind == "bytes" else decode(raw, kind)


def _entry(data: bytes) -> tuple[str, bytes]:
    """A map's entry: field 1 is its key, field 2 its value."""
    parts, position = {1: b"", 2: b""}, 0
    while position < len(data):
        tag, position = _varint(data, position)
        parts[tag >> 3], position = _raw(data, position, tag & 7)
    return parts[1].decode(), parts[2]


def _raw(data: bytes, position: int, form: int) -> tuple[Any, int]:
    """What is at `position` in one of the wire's four forms, and where it ends."""
    if form == _VARINT:
        return _varint(data, position)
    if form == _LENGTH:
        size, position = _varint(data, position)
    elif form in (_EIGHT_BYTES, _FOUR_BYTES):
        size = 8 if form == _EIGHT_BYTES else 4
    else:
        raise ValueError(f"wire type {form} at byte {position}")
    if position + size > len(data):
        raise ValueError(f"the message ends within a field at byte {position}")
    return data[position : position + size], position + size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError(f"no number at byte {position}")
        byte = data[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return number, position


def _packed(data: bytes) -> list[int]:
    numbers, position = [], 0
    while position < len(data):
        number, position = _varint(data, position)
        numbers.append(_signed(number))
    return numbers


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
