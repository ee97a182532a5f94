"""Execute a command stream on inputs.

It proves what the compiler emitted: encoding, addresses, copies, weights, scales, order, waits for copies.
Not modelled: time, and whether a block of one operation begins before the one that it reads is written
(BLOCKDEP, operations in place). What registers mean is taken from how Vela uses them, and where that leaves
a choice, from what gives TensorFlow Lite's integers; no silicon was compared. `curves`, `elementwise` and
`pooling` name what is inferred in this way. Where nothing decides, as for sums that overflow, there is an
error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.backends.ethos_u.emulator.blocks import check_blocks
from edgecompile.backends.ethos_u.emulator.convolution import convolve, convolve_depthwise
from edgecompile.backends.ethos_u.emulator.copies import copy
from edgecompile.backends.ethos_u.emulator.decoder import Command, decode
from edgecompile.backends.ethos_u.emulator.elementwise import elementwise
from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.hazards import Hazards
from edgecompile.backends.ethos_u.emulator.machine import Machine
from edgecompile.backends.ethos_u.emulator.memory import Array, Memory, Region, Span
from edgecompile.backends.ethos_u.emulator.output import uses_table
from edgecompile.backends.ethos_u.emulator.pooling import pool
from edgecompile.backends.ethos_u.emulator.program import Placement, Program
from edgecompile.backends.ethos_u.emulator.weights import Order
from edgecompile.errors import Problem, UnsupportedError


class Emulator:
    """Executes one program on many inputs; weights are decoded once.

    There is none for the Ethos-U85, whose registers are others.
    """

    def __init__(self, program: Program) -> None:
        """Raises UnsupportedError when the stream is for another NPU or has unknown commands."""
        self.configuration, self._commands = decode(program.command_stream)
        self._program = program
        self._decoded: dict[tuple[bytes, Order], Array] = {}

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for `inputs`, both in the program's order. Memory starts unwritten each time.

        Raises UnsupportedError that names the command: EC4561 unknown, EC4562 a register is not set, EC4563
        outside of memory, EC4564 unwritten memory, EC4566 blocks, EC4567 weights, EC4568 overflow,
        EC4569 no wait; EC4565 for inputs that do not fit.
        """
        machine = Machine(self.configuration, self._memory(), decoded=self._decoded)
        for place, start in self._program.variables:
            machine.memory.write(_span(place), np.full(place.shape, start, place.dtype))
        _put(machine.memory, self._program.inputs, inputs)
        for number in self._program.read_only:
            machine.memory.regions[number].is_constant = True
        hazards = Hazards(self.configuration.outstanding_copies)
        for command in self._commands:
            try:
                _step(machine, hazards, command)
            except Fault as fault:
                raise fault.located(str(command)) from None
        try:
            return [machine.memory.read(_span(place)) for place in self._program.outputs]
        except Fault as fault:
            raise fault.located("outputs") from None

    def _memory(self) -> Memory:
        regions = {
            number: Region.constant(content) if isinstance(content, bytes) else Region.empty(content)
            for number, content in self._program.regions.items()
        }
        return Memory(regions)


def _step(machine: Machine, hazards: Hazards, command: Command) -> None:
    name, value = command.name, command.value
    machine.memory.accesses = []
    if not command.is_operation:
        machine.registers[name] = value
    elif name == "DMA_START":
        copy(machine)
        hazards.start_copy(machine.memory.accesses)
    elif name == "DMA_WAIT":
        hazards.wait_for_copies(value)
    elif name == "KERNEL_WAIT":
        hazards.wait_for_kernels(value)
    elif name in _KERNELS:
        check_blocks(machine, name == "ELEMENTWISE")
        if not machine.configuration.keeps_tables and not uses_table(machine):
            machine.forget_tables()
        _KERNELS[name](machine, value)
        hazards.start_kernel(machine.memory.accesses)


_KERNELS = {
    "CONV": lambda machine, _: convolve(machine),
    "DEPTHWISE": lambda machine, _: convolve_depthwise(machine),
    "POOL": pool,
    "ELEMENTWISE": elementwise,
}


def _put(memory: Memory, places: Sequence[Placement], arrays: Sequence[Array]) -> None:
    expected = [(place.end - place.address, place.dtype) for place in places]
    if expected != [(array.nbytes, array.dtype) for array in arrays]:
        takes = ", ".join(f"{place.dtype}{list(place.shape)}" for place in places)
        why = f"it takes {takes}, and got {', '.join(f'{a.dtype}{list(a.shape)}' for a in arrays) or 'none'}"
        raise UnsupportedError(Problem("EC4565", "the inputs do not fit the program", "inputs", why))
    for place, array in zip(places, arrays, strict=True):
        memory.write(_span(place), array.reshape(place.shape))


def _span(place: Placement) -> Span:
    """Row by row, without gaps."""
    strides = np.empty(place.shape, np.int8).strides
    scaled = tuple(stride * place.dtype.itemsize for stride in strides)
    return Span("an input or output", place.region, place.address, place.dtype, place.shape, scaled)
