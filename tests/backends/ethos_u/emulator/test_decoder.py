"""Command streams are read as they are written, and nothing unknown passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.backends.ethos_u.emulator.configuration import CONFIGURATIONS
from edgecompile.backends.ethos_u.emulator.decoder import decode
from edgecompile.backends.ethos_u.emulator.registers import LONG_REGISTERS, SHORT_REGISTERS
from edgecompile.errors import UnsupportedError
from tests.support.ethos_u import HEADER, commands_of, encode

_SHORT = st.sampled_from(list(SHORT_REGISTERS.values())).flatmap(
    lambda register: st.integers(0, 0xFFFF).map(lambda value: (register[0], value & register[1]))
)
_LONG = st.sampled_from(list(LONG_REGISTERS.values())).flatmap(
    lambda register: st.integers(0, 2**48 - 1).map(
        lambda value: (register[0], value & (register[1] << 32 | 0xFFFFFFFF))
    )
)


@given(st.lists(st.one_of(_SHORT, _LONG), max_size=20))
def test_what_was_written_is_read(settings: list[tuple[str, int]]) -> None:
    commands = commands_of(settings)
    configuration, read = decode(encode(commands))
    assert configuration is CONFIGURATIONS["ethos-u55-128"]
    assert list(read) == commands


def _with(position: int, word: int) -> bytes:
    words = np.frombuffer(encode(commands_of([("IFM_REGION", 1)])), "<u4").copy()
    words[position] = word
    return words.tobytes()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"TFL3" + bytes(28), r"EC4560\] this is no command stream.*does not begin with 'COP1'"),
        (HEADER[:-4], r"EC4560\] the command stream is damaged.*it has no commands"),
        (_with(1, 9), r"EC4560\] the command stream is damaged.*driver action 9"),
        (_with(7, 3 << 16 | 2), r"EC4560\] the command stream is damaged.*3 words"),
        (_with(2, 0x2000_1808), r"EC4560\] the command stream is for another NPU.*product 2 with 256 MACs"),
        (_with(8, 0x3FF), r"EC4561\] a command is unknown at 'command 0'.*0x000003ff"),
        (_with(8, 0x0008_010F), r"EC4561\] a command is unknown.*bits 0x0008.*NPU_SET_IFM_REGION"),
        (_with(9, 0x0001_010F), r"EC4561\] the command stream does not end with NPU_OP_STOP"),
    ],
)
def test_errors(payload: bytes, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        decode(payload)
