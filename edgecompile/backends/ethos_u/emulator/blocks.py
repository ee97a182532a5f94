"""Check the block configuration of an operation: it decides nothing but must be possible.

OFM_BLK_* is the part of the output that is computed at once: at most 32 x 64 x 128, in whole micro-blocks.
The internal memory is divided at IFM_IB_END (end of the input buffer) and AB_START (start of accumulators).
"""

from __future__ import annotations

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.machine import Machine

_AXES = ("HEIGHT", "WIDTH", "DEPTH")
_LIMITS = (32, 64, 128)


def check_blocks(machine: Machine, is_elementwise: bool) -> None:
    """Fault EC4566 when the NPU cannot work with these blocks.

    Those of elementwise operations may have any height and width up to the greatest.
    """
    registers, units = machine.registers, machine.configuration.micro_block
    for axis, limit, unit in zip(_AXES, _LIMITS, units, strict=True):
        size = registers[f"OFM_BLK_{axis}_M1"] + 1
        if size > limit or (size % unit and not (is_elementwise and axis != "DEPTH")):
            why = f"NPU_SET_OFM_BLK_{axis}_M1 is {size - 1}; sizes are multiples of {unit} up to {limit}"
            raise Fault("EC4566", "the NPU has no such blocks", why)
    end, start = registers["IFM_IB_END"], registers["AB_START"]
    if end > start or start > machine.configuration.banks:
        why = f"NPU_SET_IFM_IB_END is {end} and NPU_SET_AB_START {start}"
        raise Fault("EC4566", "buffers of the internal memory overlap", why)
