"""NPU_OP_ELEMENTWISE: operators on one element of each of two inputs, or of one.

ADD and SUB bring their inputs to one scale in one of three ways (IFM_PRECISION): both are multiplied by
16-bit factors (OPA_SCALE, OPB_SCALE), or one by a 32-bit multiplier and shift (OPA_SCALE) while the other is
shifted left to match: by 19 bits for 8-bit inputs and 14 for 16-bit ones, as in TensorFlow Lite. "A" is the
first operand as the operator is written: IFM, or IFM2 where IFM2_BROADCAST reverses them. With 32-bit inputs
only the shift of OFM_SCALE is applied: a product with shift 31 is TensorFlow Lite's doubling high product.
That is inferred from how Vela makes Softmax of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.layout import load
from edgecompile.backends.ethos_u.emulator.machine import Machine
from edgecompile.backends.ethos_u.emulator.memory import Array
from edgecompile.backends.ethos_u.emulator.output import UNSCALED, finish, rounding, scale
from edgecompile.backends.ethos_u.emulator.registers import ELEMENTWISE, UNARY
from edgecompile.backends.ethos_u.emulator.scaling import ROUNDINGS, Scale, global_scale, rescale, shifted

_SCALINGS = {0: "both", 1: "a", 2: "b"}
# By how many bits operands are shifted left: 8-bit ones and 16-bit ones.
_SHIFTS = {1: 20, 2: 15}
_WORD = 4


def elementwise(machine: Machine, mode: int) -> None:
    """NPU_OP_ELEMENTWISE with the number of its mode. Fault EC4561 for an unknown one."""
    if mode >= len(ELEMENTWISE):
        raise Fault("EC4561", "a command is unknown", f"{mode} is no elementwise operator")
    name, fm = ELEMENTWISE[mode], machine.output()
    registers = machine.registers
    first = _operand(machine, "IFM", (*fm.shape[:2], registers["IFM_DEPTH_M1"] + 1))
    by = _output_scale(machine, name, first.dtype.itemsize)
    if name in UNARY:
        finish(machine, fm, _UNARY[name](machine, _centred(machine, "IFM", first)), by)
        return
    second = _second(machine, fm.shape)
    a, b = _centred(machine, "IFM", first), _centred(machine, "IFM2", second)
    if registers.field("IFM2_BROADCAST", 6, 1):
        a, b = b, a
    if name in ("ADD", "SUB"):
        a, b = _common_scale(machine, a, b, first.dtype.itemsize)
    result = _shifted_right(machine, a, b) if name == "SHR" else _BINARY[name](a, b)
    finish(machine, fm, np.broadcast_to(result, fm.shape), by)


def _operand(machine: Machine, name: str, shape: tuple[int, int, int]) -> Array:
    return load(machine.memory, machine.feature_map(name, shape))


def _second(machine: Machine, shape: tuple[int, int, int]) -> Array:
    """IFM2: a number in a register, or a feature map whose broadcast axes have size 1."""
    registers = machine.registers
    if registers.field("IFM2_BROADCAST", 7, 1):
        return np.full((1, 1, 1), registers.signed("IFM2_SCALAR"), np.int32)
    height, width, depth = (
        1 if registers.field("IFM2_BROADCAST", axis, 1) else size for axis, size in enumerate(shape)
    )
    return _operand(machine, "IFM2", (height, width, depth))


def _centred(machine: Machine, name: str, stored: Array) -> Array:
    return stored.astype(np.int64) - machine.registers.zero_point(name)


def _output_scale(machine: Machine, name: str, size: int) -> Scale:
    """The scale of the results; LRELU has applied it to the negative ones by itself."""
    by = UNSCALED if name == "LRELU" else scale(machine)
    if size < _WORD:
        return by
    if name != "MUL" and by.multiplier != 1:
        why = f"NPU_SET_OFM_SCALE has multiplier {by.multiplier}, which 32-bit inputs do not know"
        raise Fault("EC4561", "a command is unknown", why)
    return Scale(np.int64(1), by.shift)


def _common_scale(machine: Machine, a: Array, b: Array, size: int) -> tuple[Array, Array]:
    registers = machine.registers
    way = registers.choice("IFM_PRECISION", 8, 2, _SCALINGS)
    if size == _WORD:
        return a, b
    if way == "both":
        return a * registers.field("OPA_SCALE", 0, 16), b * registers.field("OPB_SCALE", 0, 16)
    up, mode = _SHIFTS[size], registers.choice("IFM_PRECISION", 14, 2, ROUNDINGS)
    own = global_scale(registers, "OPA_SCALE")
    own = Scale(own.multiplier, own.shift + up)
    if way == "a":
        return rescale(a << up, own, mode), b << up - 1
    return a << up - 1, rescale(b << up, own, mode)


def _shifted_right(machine: Machine, a: Array, b: Array) -> Array:
    """a / 2^b, rounded as results are."""
    return shifted(a, _checked(b), rounding(machine))


def _shifted_left(a: Array, b: Array) -> Array:
    return np.asarray(a << _checked(b))


def _checked(bits: Array) -> Array:
    if bits.min() < 0 or bits.max() > 31:
        raise Fault("EC4568", "a number overflows", f"a shift is by {bits.min()} to {bits.max()} bits")
    return bits


def _leading_zeros(_: Machine, values: Array) -> Array:
    """Of 32-bit numbers; those of 0 are 32."""
    return 32 - np.frexp((values & 0xFFFFFFFF).astype(np.float64))[1].astype(np.int64)


def _leaky(machine: Machine, values: Array) -> Array:
    """Negative values are scaled, others are not."""
    scaled = rescale(values, global_scale(machine.registers), rounding(machine))
    return np.where(values < 0, scaled, values)


_UNARY: dict[str, Callable[[Machine, Array], Array]] = {
    "ABS": lambda _, values: np.abs(values),
    "CLZ": _leading_zeros,
    "LRELU": _leaky,
}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "MIN": np.minimum,
    "MAX": np.maximum,
    "SHL": _shifted_left,
}
