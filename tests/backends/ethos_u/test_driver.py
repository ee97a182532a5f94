"""What takes the place of the driver answers every invocation, and says what is wrong with one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.ethos_u.driver import Driver, Npu
from edgecompile.backends.ethos_u.emulator.program import Placement, Program
from edgecompile.errors import DeviceError, InternalError, Problem

COMMANDS, CONSTANTS = b"COP1 and more", bytes(range(32))
INT8 = np.dtype(np.int8)
PROGRAM = Program(
    COMMANDS,
    {0: CONSTANTS, 1: 64, 2: 0, 3: 4, 4: 4},
    (Placement(3, 0, (1, 4), INT8),),
    (Placement(4, 0, (4, 1), INT8), Placement(1, 16, (2,), INT8)),
    read_only=frozenset({3}),
)
REGIONS = [
    (0x100, CONSTANTS),
    (0x200, b"\x7f" * 64),
    (0, b""),
    (0x300, bytes([1, 2, 3, 4])),
    (0x310, b"...."),
]


def double(inputs: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """The inputs times 2, and two numbers more."""
    assert inputs[0].shape == (1, 4)
    return [(inputs[0] * 2).reshape(4, 1), np.array([7, -7], np.int8)]


def ask(
    folder: Path, commands: bytes = COMMANDS, regions: Sequence[tuple[int, bytes]] = REGIONS
) -> tuple[list[bytes], int]:
    """One invocation; what each region changes to, and the status."""
    driver = Driver([Npu(PROGRAM, double)], folder)
    with driver.serving():
        sizes = b"".join(struct.pack("<QQ", address, len(data)) for address, data in regions)
        request = struct.pack("<QQ", len(commands), len(regions)) + sizes + commands
        (folder / "requests").open("wb").write(request + b"".join(d for address, d in regions if address))
        with (folder / "answers").open("rb") as answers:
            changed = [answers.read(*struct.unpack("<Q", answers.read(8))) for _ in regions]
            return changed, struct.unpack("<Q", answers.read(8))[0]


def test_outputs_are_written_and_nothing_else_is_kept(tmp_path: Path) -> None:
    (constants, scratch, fast, given, result), status = ask(tmp_path)
    assert (status, constants, fast, given) == (0, b"", b"", b"")
    assert result == bytes([2, 4, 6, 8])
    left = b"\xa5" * 16
    assert scratch == left + bytes([7, 249]) + left[2:] + left + left


@pytest.mark.parametrize(
    ("commands", "changes", "message"),
    [
        (b"others", {}, "the commands are those of no segment"),
        (COMMANDS, {0: (0x100, CONSTANTS[::-1])}, "memory region 0 is another"),
        (COMMANDS, {1: (0x200, b"\x7f" * 48)}, r"memory region 1 is another .*48 bytes instead of 64"),
        (COMMANDS, {3: (0x304, bytes(4))}, r"memory region 3 is not aligned to 16 bytes .*at 0x304"),
        (COMMANDS, {4: (0, b"")}, "memory region 4 is missing"),
    ],
)
def test_a_wrong_invocation_is_an_error(
    commands: bytes, changes: dict[int, tuple[int, bytes]], message: str, tmp_path: Path
) -> None:
    regions = [changes.get(number, region) for number, region in enumerate(REGIONS)]
    with pytest.raises(InternalError, match=rf"EC1541\] {message}"):
        ask(tmp_path, commands, regions)


def test_a_program_that_dies_does_not_hang(tmp_path: Path) -> None:
    def dies() -> None:
        with Driver([Npu(PROGRAM, double)], tmp_path).serving():
            (tmp_path / "requests").open("wb").write(struct.pack("<QQ", 5, 1))
            raise DeviceError(Problem("EC7002", "the program crashed", "qemu"))

    with pytest.raises(DeviceError, match="EC7002"):
        dies()


def test_errors_of_the_emulator_come_before_those_of_the_program(tmp_path: Path) -> None:
    def fails(inputs: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        raise InternalError(Problem("EC1999", "no such thing"))

    def run() -> None:
        with Driver([Npu(Program(b"C", {}, (), ()), fails)], tmp_path).serving():
            (tmp_path / "requests").open("wb").write(struct.pack("<QQ", 1, 0) + b"C")
            with (tmp_path / "answers").open("rb") as answers:
                assert struct.unpack("<Q", answers.read(8)) == (1,)
            raise DeviceError(Problem("EC7004", "the program failed", "qemu"))

    with pytest.raises(InternalError, match="EC1999"):
        run()
