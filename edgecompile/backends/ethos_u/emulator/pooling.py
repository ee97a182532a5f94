"""NPU_OP_POOL: maximum, average and sum over channels.

An average is a sum whose scale (OFM_SCALE) divides it. Where there is padding the NPU divides by the number
of elements that are none, with the same reciprocals that Vela takes for OFM_SCALE otherwise.
"""

from __future__ import annotations

import math

import numpy as np

from edgecompile.backends.ethos_u.emulator.convolution import check_accumulator
from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.layout import FeatureMap
from edgecompile.backends.ethos_u.emulator.machine import Machine
from edgecompile.backends.ethos_u.emulator.memory import Array
from edgecompile.backends.ethos_u.emulator.output import UNSCALED, finish, rounding, scale
from edgecompile.backends.ethos_u.emulator.registers import POOLINGS
from edgecompile.backends.ethos_u.emulator.scaling import Scale, rescale
from edgecompile.backends.ethos_u.emulator.window import Window, window_of, windowed_input

_LEAST = int(np.iinfo(np.int32).min)


def pool(machine: Machine, mode: int) -> None:
    """NPU_OP_POOL with the number of its mode. Fault EC4561 for an unknown one."""
    if mode >= len(POOLINGS):
        raise Fault("EC4561", "a command is unknown", f"{mode} is no mode of pooling")
    window, fm = window_of(machine.registers), machine.output()
    _POOLS[POOLINGS[mode]](machine, window, fm)


def _maximum(machine: Machine, window: Window, fm: FeatureMap) -> None:
    taps = _taps(machine, window, fm, _LEAST)
    greatest = taps[0].copy()
    for tap in taps[1:]:
        np.maximum(greatest, tap, out=greatest)
    finish(machine, fm, greatest, scale(machine))


def _average(machine: Machine, window: Window, fm: FeatureMap) -> None:
    total = np.zeros(fm.shape, np.int64)
    for tap in _taps(machine, window, fm):
        total += tap
    check_accumulator(machine.registers, total)
    by = scale(machine, per_channel=not window.is_padded)
    if window.is_padded:
        if by != UNSCALED:
            raise Fault("EC4561", "a command is unknown", "an average with padding has a scale of its own")
        total = _divided(machine, window, total, fm)
    finish(machine, fm, total, by)


def _sum(machine: Machine, window: Window, fm: FeatureMap) -> None:
    """Over the channels of one position."""
    total = windowed_input(machine, window, fm.shape[:2]).sum(axis=2, keepdims=True, dtype=np.int64)
    check_accumulator(machine.registers, total)
    finish(machine, fm, total, scale(machine, per_channel=True))


_POOLS = {"MAX": _maximum, "AVERAGE": _average, "REDUCE_SUM": _sum}


def _taps(machine: Machine, window: Window, fm: FeatureMap, filler: int = 0) -> list[Array]:
    padded = windowed_input(machine, window, fm.shape[:2], filler)
    if padded.shape[2] != fm.shape[2]:
        why = f"there are {padded.shape[2]} input and {fm.shape[2]} output channels"
        raise Fault("EC4561", "a pool changes the depth", why)
    return window.taps(padded, fm.shape[:2])


def _divided(machine: Machine, window: Window, total: Array, fm: FeatureMap) -> Array:
    """Each sum divided by how many elements of its window are not padding."""
    factor = 1 if window.upscale == "none" else 2
    height, width = (factor * size for size in window.input_size(fm.shape[:2]))
    inside = np.pad(np.ones((height, width, 1), np.int64), (*window.pads, (0, 0)))
    counts = np.sum(window.taps(inside, fm.shape[:2]), axis=0)[..., 0]
    result = np.zeros_like(total)
    for count in np.unique(counts):
        chosen = counts == count
        result[chosen] = rescale(total[chosen], reciprocal(int(count)), rounding(machine))
    return result


def reciprocal(count: int) -> Scale:
    """The scale that divides by `count`, a little larger than exact, so that halves go away from zero."""
    bits = math.frexp(count - 1)[1]
    return Scale(np.int64(((1 << 31 + bits) + (1 << bits)) // count), np.int64(31 + bits))
