"""Reading packages: the wire format, and values of every width."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edgecompile.backends.coreml.evaluator.program import unpack_bits
from edgecompile.backends.coreml.evaluator.wire import decode
from edgecompile.backends.coreml.weights import pack_bits, palette_of


def test_fields_are_found_by_number_and_others_skipped() -> None:
    feature = b"\x0a\x01x"  # field 1, three bytes: name "x"
    unknown = b"\xc0\x3e\x96\x01" + b"\x9d\x06\x01\x02\x03\x04" + b"\xa1\x06" + bytes(8)
    description = unknown + b"\x0a" + bytes([len(feature)]) + feature
    model = b"\x08\x08\x12" + bytes([len(description)]) + description
    found = decode(model, "Model")
    assert found["version"] == 8
    assert found["description"] == {"inputs": [{"name": "x"}], "outputs": []}


def test_packed_numbers_and_maps() -> None:
    assert decode(b"\x0a\x0c\x01\x80\x01" + b"\xff" * 8 + b"\x7f", "Ints")["values"][:2] == [1, 128]
    assert decode(b"\x08\x05\x08" + b"\xff" * 9 + b"\x01", "Ints")["values"] == [5, -1]
    numbers = decode(b"\x0a\x08" + struct.pack("<2f", 0.5, -2), "Floats")["values"]
    np.testing.assert_array_equal(numbers, np.array([0.5, -2], np.float32))
    entry = b"\x0a\x01f" + b"\x12\x02\x12\x00"
    assert decode(b"\x12" + bytes([len(entry)]) + entry, "Program")["functions"] == {
        "f": {"inputs": [], "blocks": {}, "opset": ""}
    }


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x0b", b"\x08" + b"\xff" * 11])
def test_damaged_messages(data: bytes) -> None:
    with pytest.raises(ValueError, match="byte"):
        decode(data, "Model")


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_few_bits(bits: int) -> None:
    numbers = np.random.default_rng(bits).integers(0, 1 << bits, 37).astype(np.uint8)
    packed = pack_bits(numbers, bits)
    assert packed.size == -(-37 * bits // 8)
    np.testing.assert_array_equal(unpack_bits(packed, bits, 37), numbers)


def test_a_palette_loses_nothing() -> None:
    weights = np.random.default_rng(0).choice(np.array([0.1, -3, 7], np.float32), (8, 8))
    palette = palette_of(weights)
    assert palette is not None
    assert palette.colours.shape == (4,)
    np.testing.assert_array_equal(palette.colours[palette.indices], weights.astype(np.float16))
    assert palette_of(np.arange(64, dtype=np.float32)) is None
    assert palette_of(np.zeros(8, np.float32)) is None
