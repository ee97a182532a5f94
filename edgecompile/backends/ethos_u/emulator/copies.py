"""NPU_OP_DMA_START: copy bytes from one region to another, or into the internal memory."""

from __future__ import annotations

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.machine import INTERNAL, Machine
from edgecompile.backends.ethos_u.emulator.memory import Span

_INTERNAL_BIT, _STRIDES = 8, 9


def copy(machine: Machine) -> None:
    """Copy DMA0_LEN bytes in one piece; copies with strides are Fault EC4561, as Vela makes none."""
    source, target = spans(machine)
    machine.memory.copy(source, target)


def spans(machine: Machine) -> tuple[Span, Span]:
    """What a copy reads and writes."""
    source, target = (_span(machine, side) for side in ("SRC", "DST"))
    return source, target


def _span(machine: Machine, side: str) -> Span:
    registers, register = machine.registers, f"DMA0_{side}_REGION"
    if registers.field(register, _STRIDES, 2):
        raise Fault("EC4561", "a command is unknown", f"NPU_SET_{register} asks for a copy with strides")
    is_internal = registers.field(register, _INTERNAL_BIT, 1)
    region = INTERNAL if is_internal else registers.field(register, 0, 3)
    address = registers.field(f"DMA0_{side}", 0, machine.configuration.address_bits)
    return Span(f"NPU_SET_DMA0_{side}", region, address, np.dtype(np.uint8), (registers["DMA0_LEN"],), (1,))
