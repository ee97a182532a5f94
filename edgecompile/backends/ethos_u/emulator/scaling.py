"""How a sum becomes an output: a multiplier and a shift, for all channels or one a channel.

Modes of rounding (OFM_PRECISION), as Vela's NpuRoundingMode describes them:
double    TensorFlow Lite's two roundings: the high half of twice the product, halves rounded up, then the
          rest of the shift, halves rounded away from zero; for shifts below 31 one rounding, halves up
truncate  towards zero
natural   halves up
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.memory import Array, Memory, Span
from edgecompile.backends.ethos_u.emulator.state import Registers
from edgecompile.passes.quantize.arithmetic import shift_half_away, shift_half_up

ROUNDINGS = {0: "double", 1: "truncate", 2: "natural"}
_DOUBLE = 31
_LIMIT = 1 << 62
_RECORD = 10


Number = np.int64 | Array


@dataclass(frozen=True)
class Scale:
    """Sum → round((sum + bias) * multiplier / 2^shift); scalars, or arrays with one entry a channel."""

    multiplier: Number
    shift: Number
    bias: Number = field(default_factory=lambda: np.int64(0))


def global_scale(registers: Registers, name: str = "OFM_SCALE") -> Scale:
    """The scale in a register: multiplier in bits 0-31, shift in bits 32-37."""
    return Scale(np.int64(registers.field(name, 0, 32)), np.int64(registers.field(name, 32, 6)))


def channel_scales(memory: Memory, registers: Registers, depth: int, cores: int) -> Scale:
    """The scales of `depth` output channels, in records of 10 bytes: bias (40 bits), multiplier, shift.

    With two cores, the even channels' records are at SCALE_BASE and the odd ones' at SCALE1_BASE.
    """
    records = np.empty((depth, _RECORD), np.uint8)
    for core in range(min(cores, depth)):
        name, count = f"SCALE{core or ''}", len(records[core::cores])
        length = registers[f"{name}_LENGTH"]
        if length < count * _RECORD:
            why = f"NPU_SET_{name}_LENGTH is {length} for {count} channels"
            raise Fault("EC4567", "there are too few scales", why)
        region, base = registers["SCALE_REGION"], registers[f"{name}_BASE"]
        shape, strides = (count, _RECORD), (_RECORD, 1)
        span = Span(f"NPU_SET_{name}_BASE", region, base, np.dtype(np.uint8), shape, strides)
        records[core::cores] = memory.read(span)
    padded = np.zeros((depth, 8), np.uint8)
    padded[:, 3:] = records[:, :5]
    bias = padded.view("<i8")[:, 0] >> 24
    multiplier = np.ascontiguousarray(records[:, 5:9]).view("<u4")[:, 0].astype(np.int64)
    return Scale(multiplier, records[:, 9].astype(np.int64) & 0x3F, bias)


def rescale(values: Array, scale: Scale, rounding: str) -> Array:
    """round((values + bias) * multiplier / 2^shift) as int64. Fault EC4568 where 64 bits are too few."""
    total = values.astype(np.int64) + scale.bias
    greatest = int(np.abs(total).max(initial=0)) * int(np.max(scale.multiplier))
    if greatest >= _LIMIT:
        raise Fault("EC4568", "a number overflows", f"a scaled sum can reach {greatest}")
    return shifted(total * scale.multiplier, scale.shift, rounding)


def shifted(product: Array, shift: Number, rounding: str) -> Array:
    """product / 2^shift in that mode of rounding; `shift` may be 0."""
    shift = np.asarray(shift, np.int64)
    if rounding == "truncate":
        return np.asarray(np.where(product < 0, -(-product >> shift), product >> shift))
    if rounding == "natural":
        return shift_half_up(product, shift)
    first = shift_half_up(product, np.minimum(shift, _DOUBLE))
    return first if shift.max() <= _DOUBLE else shift_half_away(first, np.maximum(shift - _DOUBLE, 0))
