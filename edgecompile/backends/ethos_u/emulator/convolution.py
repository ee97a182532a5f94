"""Convolutions: NPU_OP_CONV (also transposed and fully connected ones) and NPU_OP_DEPTHWISE.

Sums are exact: products are added up by floating-point matrix products of as many terms as its type holds.
"""

from __future__ import annotations

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.machine import Machine
from edgecompile.backends.ethos_u.emulator.memory import Array
from edgecompile.backends.ethos_u.emulator.output import cores, finish, scale
from edgecompile.backends.ethos_u.emulator.state import Registers
from edgecompile.backends.ethos_u.emulator.weights import Order, decode_weights, read_stream
from edgecompile.backends.ethos_u.emulator.window import Window, window_of, windowed_input

_ACCUMULATORS = {0: "32", 1: "40"}
_FLOAT32, _FLOAT64 = 1 << 24, 1 << 53
_FEW_TERMS = 64


def convolve(machine: Machine) -> None:
    """NPU_OP_CONV: every output channel is a sum over all input channels."""
    window, fm = window_of(machine.registers), machine.output()
    output = fm.shape[:2]
    padded = windowed_input(machine, window, output)
    kernel = _weights(machine, window, padded.shape[2], is_depthwise=False)
    taps = window.taps(padded, output)
    columns = np.concatenate(taps, axis=2) if len(taps) > 1 else taps[0]
    sums = _product(columns.reshape(-1, columns.shape[2]), kernel.reshape(-1, kernel.shape[3]))
    check_accumulator(machine.registers, sums)
    finish(machine, fm, sums.reshape(fm.shape), scale(machine, per_channel=True))


def convolve_depthwise(machine: Machine) -> None:
    """NPU_OP_DEPTHWISE: every channel for itself."""
    window, fm = window_of(machine.registers), machine.output()
    output = fm.shape[:2]
    padded = windowed_input(machine, window, output)
    if padded.shape[2] != fm.shape[2]:
        why = f"there are {padded.shape[2]} input and {fm.shape[2]} output channels"
        raise Fault("EC4561", "a depthwise convolution changes the depth", why)
    kernel = _weights(machine, window, 1, is_depthwise=True).reshape(-1, fm.shape[2]).astype(np.int32)
    sums = np.zeros(fm.shape, np.int64 if machine.registers.dtype("IFM").itemsize > 1 else np.int32)
    for tap, weights in zip(window.taps(padded, output), kernel, strict=True):
        sums += tap * weights
    check_accumulator(machine.registers, sums)
    finish(machine, fm, sums, scale(machine, per_channel=True))


def check_accumulator(registers: Registers, sums: Array) -> None:
    """Fault EC4568 where sums leave the accumulator (ACC_FORMAT): what then happens is not specified."""
    bits = int(registers.choice("ACC_FORMAT", 0, 2, _ACCUMULATORS))
    greatest = int(np.abs(sums).max(initial=0))
    if greatest >= 1 << bits - 1:
        raise Fault("EC4568", "a number overflows", f"a sum of {bits} bits reaches {greatest}")


def _weights(machine: Machine, window: Window, inputs: int, is_depthwise: bool) -> Array:
    """Weights [kernel y, kernel x, inputs, outputs] of all cores."""
    registers, count = machine.registers, cores(machine)
    depth, block = registers["OFM_DEPTH_M1"] + 1, registers["OFM_BLK_DEPTH_M1"] + 1
    weights: Array = np.empty((*window.kernel, inputs, depth), np.int16)
    for core in range(min(count, depth)):
        order = Order(
            window.kernel,
            window.dilation,
            len(range(core, depth, count)),
            inputs,
            -(-(block - core) // count),
            machine.configuration.micro_block[2],
            is_depthwise,
            window.is_part_kernel and not is_depthwise,
            registers.dtype("IFM").itemsize > 1,
        )
        stream = read_stream(machine.memory, registers, core)
        if (stream, order) not in machine.decoded:
            machine.decoded[stream, order] = decode_weights(stream, order)
        weights[..., core::count] = machine.decoded[stream, order]
    return weights


def _product(left: Array, right: Array) -> Array:
    """The exact matrix product as int64."""
    bound = max(1, int(np.abs(left).max(initial=0)) * int(np.abs(right).max(initial=0)))
    dtype, terms = ("f4", _FLOAT32 // bound) if bound * _FEW_TERMS <= _FLOAT32 else ("f8", _FLOAT64 // bound)
    total = np.zeros((left.shape[0], right.shape[1]), np.int64)
    left, right = left.astype(dtype), right.astype(dtype)
    for first in range(0, left.shape[1], terms):
        total += (left[:, first : first + terms] @ right[first : first + terms]).astype(np.int64)
    return total
