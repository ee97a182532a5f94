"""Read a command stream as the driver gets it: a header, then commands of one or two words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgecompile.backends.ethos_u.emulator.configuration import Configuration, configuration_of
from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.registers import LONG_REGISTERS, OPERATIONS, SHORT_REGISTERS

_MAGIC = int.from_bytes(b"COP1", "little")
_CONFIGURE, _COMMANDS, _NOTHING = 1, 2, 5
_TWO_WORDS, _OPCODE = 0x4000, 0x03FF


class Command(NamedTuple):
    """A command: its number in the stream, its name without NPU_OP_ / NPU_SET_, and its operand.

    The operand of two words is one number: parameter << 32 | second word.
    """

    number: int
    name: str
    value: int

    @property
    def is_operation(self) -> bool:
        """Whether it starts or waits for something; otherwise it sets the register of its name."""
        return self.name in _OPERATION_NAMES

    def __str__(self) -> str:
        return f"command {self.number} (NPU_{'OP' if self.is_operation else 'SET'}_{self.name})"


_OPERATION_NAMES = frozenset(OPERATIONS.values())


def decode(payload: bytes) -> tuple[Configuration, tuple[Command, ...]]:
    """The configuration that the stream is for, and its commands up to and with STOP.

    `payload` is a sequence of driver actions, as Vela writes it: "COP1", the configuration, the commands.
    Raises UnsupportedError: EC4560 for another kind of file or NPU, EC4561 for an unknown command.
    """
    try:
        configuration, words = _unpack(payload)
    except Fault as fault:
        raise fault.located("header of the command stream") from None
    return configuration, _commands(words)


def _unpack(payload: bytes) -> tuple[Configuration, list[int]]:
    if len(payload) < 4 or len(payload) % 4 or int.from_bytes(payload[:4], "little") != _MAGIC:
        raise Fault("EC4560", "this is no command stream", "it does not begin with 'COP1'")
    words = np.frombuffer(payload, "<u4").tolist()
    position, configuration = 1, None
    while position < len(words):
        action, operand = words[position] & 0xFF, words[position] >> 8
        position += 1
        if action == _CONFIGURE and position + 1 < len(words):
            configuration = configuration_of(words[position])
            position += 2
        elif action == _COMMANDS:
            length = (operand & 0xFF) << 16 | operand >> 8
            if configuration is None or position + length != len(words):
                raise Fault("EC4560", "the command stream is damaged", f"{length} words are announced")
            return configuration, words[position:]
        elif action != _NOTHING:
            raise Fault("EC4560", "the command stream is damaged", f"driver action {action} is unknown")
    raise Fault("EC4560", "the command stream is damaged", "it has no commands")


def _commands(words: list[int]) -> tuple[Command, ...]:
    commands: list[Command] = []
    position = 0
    while not commands or commands[-1].name != "STOP":
        try:
            command, size = _command(len(commands), words[position : position + 2])
        except Fault as fault:
            raise fault.located(f"command {len(commands)}") from None
        commands.append(command)
        position += size
    return tuple(commands)


def _command(number: int, words: list[int]) -> tuple[Command, int]:
    if not words:
        raise Fault("EC4561", "the command stream does not end with NPU_OP_STOP", "there are no more words")
    word = words[0]
    opcode, parameter, flags = word & _OPCODE, word >> 16, word & 0xFFFF & ~_OPCODE
    if flags == 0 and opcode in OPERATIONS:
        return Command(number, OPERATIONS[opcode], parameter), 1
    if flags == 0 and opcode in SHORT_REGISTERS:
        name, mask = SHORT_REGISTERS[opcode]
        return Command(number, name, _valid(name, parameter, mask)), 1
    if flags == _TWO_WORDS and opcode in LONG_REGISTERS and len(words) == 2:
        name, mask = LONG_REGISTERS[opcode]
        return Command(number, name, _valid(name, parameter, mask) << 32 | words[1]), 2
    raise Fault("EC4561", "a command is unknown", f"its first word is {word:#010x}")


def _valid(name: str, parameter: int, mask: int) -> int:
    if parameter & ~mask:
        why = f"bits {parameter & ~mask:#06x} mean nothing in NPU_SET_{name}"
        raise Fault("EC4561", "a command is unknown", why)
    return parameter
