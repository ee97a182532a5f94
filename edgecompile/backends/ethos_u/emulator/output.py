"""The end of every operation: scale, zero point, clamp, lookup table, store.

A table is addressed by the clamped result, from the least value on: 256 entries for 8-bit results (of 8 bits,
or of 32 with a 32-bit output), 512 for 16-bit ones. Such an entry is a base (low 16 bits) and a slope (high
16 bits): the result is base + slope * (low 7 bits of the index) / 128, halves rounded up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecompile.backends.ethos_u.emulator.curves import CURVES
from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.layout import FeatureMap, store
from edgecompile.backends.ethos_u.emulator.machine import INTERNAL, Machine
from edgecompile.backends.ethos_u.emulator.memory import Array, Span
from edgecompile.backends.ethos_u.emulator.scaling import (
    ROUNDINGS,
    Scale,
    channel_scales,
    global_scale,
    rescale,
    shifted,
)

_FIRST_TABLE = 16
_TABLES = {_FIRST_TABLE + table: f"table {table}" for table in range(8)}
_FUNCTIONS = {0: "clamp", 3: "tanh", 4: "sigmoid", **_TABLES}
_RANGES = {0: "output", 2: "u1", 3: "i1", 5: "i2"}
_TABLE_BYTES, _SLOPE_BITS = 256, 7
UNSCALED = Scale(np.int64(1), np.int64(0))


def uses_table(machine: Machine) -> bool:
    """Whether results go through a lookup table."""
    return machine.registers.field("ACTIVATION", 0, 5) >= _FIRST_TABLE


def rounding(machine: Machine) -> str:
    """How results are rounded."""
    return machine.registers.choice("OFM_PRECISION", 14, 2, ROUNDINGS)


def scale(machine: Machine, per_channel: bool = False) -> Scale:
    """The scale of the results: OFM_SCALE, one a channel where that is possible, or none."""
    if machine.registers.field("OFM_PRECISION", 8, 1):
        return global_scale(machine.registers)
    if not per_channel:
        return UNSCALED
    depth = machine.registers["OFM_DEPTH_M1"] + 1
    return channel_scales(machine.memory, machine.registers, depth, cores(machine))


def cores(machine: Machine) -> int:
    """How many cores divide the output channels among them. Fault EC4566 for more than there are."""
    count = 1 + machine.registers.get("PARALLEL_MODE", 0)
    if count > machine.configuration.cores:
        raise Fault("EC4566", "this NPU has one core", "NPU_SET_PARALLEL_MODE asks for two")
    return count


def finish(machine: Machine, fm: FeatureMap, total: Array, by: Scale) -> None:
    """Scale `total` [height, width, depth], and store what becomes of it."""
    registers = machine.registers
    values = total if by is UNSCALED else rescale(total, by, rounding(machine))
    function = registers.choice("ACTIVATION", 0, 5, _FUNCTIONS)
    values = CURVES[function](values) if function in CURVES else values
    values = values + registers.zero_point("OFM")
    limits = registers.choice("ACTIVATION", 12, 3, _RANGES)
    dtype = fm.dtype if limits == "output" else np.dtype(f"<{limits}")
    values = _clamped(machine, values, dtype)
    if uses_table(machine):
        values = _looked_up(machine, int(function[-1]), values.astype(dtype), fm)
    store(machine.memory, fm, values.astype(fm.dtype))


def _clamped(machine: Machine, values: Array, dtype: np.dtype[Any]) -> Array:
    """32-bit results are not clamped, but must fit."""
    limits = np.iinfo(dtype)
    if dtype.itemsize == 4:
        if values.min() < limits.min or values.max() > limits.max:
            raise Fault("EC4568", "a number overflows", "a result does not fit 32 bits")
        return values
    names = ("ACTIVATION_MIN", "ACTIVATION_MAX")
    read = machine.registers.signed if dtype.kind == "i" else machine.registers.__getitem__
    low, high = (read(name) for name in names)
    return values.clip(max(low, int(limits.min)), min(high, int(limits.max)))


def _looked_up(machine: Machine, table: int, values: Array, fm: FeatureMap) -> Array:
    if values.itemsize == 2:
        entries = _table(machine, table, 512, np.dtype("<u4"))
        index = values.astype(np.int64) - np.iinfo(values.dtype).min
        found = entries[index >> _SLOPE_BITS]
        base, slope = found.astype(np.uint16).view(np.int16), (found >> 16).astype(np.uint16).view(np.int16)
        step = slope.astype(np.int64) * (index & (1 << _SLOPE_BITS) - 1)
        return np.asarray(base + shifted(step, np.int64(_SLOPE_BITS), "natural"))
    if fm.dtype.itemsize == 2:
        raise Fault("EC4561", "a command is unknown", "no table has 16-bit entries for 8-bit values")
    entries = _table(machine, table, 256, fm.dtype)
    return np.asarray(entries[values.astype(np.int64) - np.iinfo(values.dtype).min])


def _table(machine: Machine, table: int, count: int, dtype: np.dtype[Any]) -> Array:
    address = machine.configuration.tables_at + table * _TABLE_BYTES
    span = Span("NPU_SET_ACTIVATION", INTERNAL, address, dtype, (count,), (dtype.itemsize,))
    return machine.memory.read(span)
