"""A command that cannot be executed is named, with its register and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from edgecompile.backends.ethos_u.emulator.decoder import Command, decode
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.ethos_u.emulator.program import Placement, Program
from edgecompile.errors import UnsupportedError
from tests.support.ethos_u import Array, compile_for, encode, needs_vela
from tests.support.tflite_networks import small_network

pytestmark = needs_vela
NAME = "ethos-u55-128"
Edit = Callable[[list[Command]], list[Command]]


@cache
def _program() -> Program:
    return compile_for(NAME, small_network().data)


def _run(edit: Edit) -> None:
    program = _program()
    _, commands = decode(program.command_stream)
    stream = encode(edit(list(commands)))
    Emulator(replace(program, command_stream=stream)).run(small_network().inputs)


def _set(name: str, value: int) -> Edit:
    """The first setting of a register changes its value."""

    def edit(commands: list[Command]) -> list[Command]:
        first = next(command for command in commands if command.name == name)
        return [command._replace(value=value) if command is first else command for command in commands]

    return edit


def _without(*names: str) -> Edit:
    return lambda commands: [command for command in commands if command.name not in names]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_without("IFM_DEPTH_M1"), r"EC4562\].*\(NPU_OP_CONV\)'.*nothing sets NPU_SET_IFM_DEPTH_M1"),
        (
            _set("OFM_BASE0", 1 << 24),
            r"EC4563\].*\(NPU_OP_CONV\)'.*NPU_SET_OFM_BASE0 leads to bytes 0x1000000",
        ),
        (_set("OFM_REGION", 0), r"EC4563\] what may only be read is overwritten"),
        (_set("IFM_BASE0", 4096), r"EC4564\] bytes are read that nothing wrote.*IFM_BASE0 points at 0x1000"),
        (_set("OFM_BLK_WIDTH_M1", 2), r"EC4566\] the NPU has no such blocks.*multiples of 2 up to 64"),
        (_set("AB_START", 0), r"EC4566\] buffers of the internal memory overlap.*NPU_SET_AB_START 0"),
        (_set("WEIGHT_LENGTH", 16), r"EC4567\] the weights are damaged.*ends in the middle of a slice"),
        (_set("SCALE_LENGTH", 16), r"EC4567\] there are too few scales.*16 for 24 channels"),
        (_without("DMA_WAIT"), r"EC4569\].*\(NPU_OP_ELEMENTWISE\)'.*no NPU_OP_DMA_WAIT"),
        (_without("DMA_START"), r"EC4564\] bytes are read that nothing wrote.*NPU_SET_ACTIVATION"),
        (_set("POOL", 7), r"EC4561\].*\(NPU_OP_POOL\)'.*7 is no mode of pooling"),
        (_set("ELEMENTWISE", 60), r"EC4561\].*\(NPU_OP_ELEMENTWISE\)'.*60 is no elementwise operator"),
        (_set("ACTIVATION", 5), r"EC4561\].*5 means nothing in NPU_SET_ACTIVATION"),
        (_set("IFM_PRECISION", 0x0D), r"EC4561\].*width 3 means nothing in NPU_SET_IFM_PRECISION"),
        (_set("DMA0_SRC_REGION", 0x200), r"EC4561\].*NPU_SET_DMA0_SRC_REGION asks for a copy with strides"),
    ],
)
def test_errors(edit: Edit, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        _run(edit)


def test_the_second_core() -> None:
    with pytest.raises(UnsupportedError, match=r"EC4566\] this NPU has one core"):
        _run(lambda commands: [Command(0, "PARALLEL_MODE", 1), *commands])


@pytest.mark.parametrize("inputs", [[], [np.zeros((1, 2), np.int8)], [np.zeros((1, 48, 40, 3), np.uint8)]])
def test_inputs_that_do_not_fit(inputs: list[Array]) -> None:
    with pytest.raises(UnsupportedError, match=r"EC4565\] the inputs do not fit the program"):
        Emulator(_program()).run(inputs)


def test_an_output_that_nothing_writes() -> None:
    program = _program()
    place = Placement(1, 0, (1 << 15,), np.dtype(np.int8))
    with pytest.raises(UnsupportedError, match=r"EC4564\].*at 'outputs'"):
        Emulator(replace(program, outputs=(place,))).run(small_network().inputs)


def test_runs_do_not_depend_on_each_other() -> None:
    """An emulator that has run gives what a new one gives."""
    emulator, x = Emulator(_program()), small_network().inputs
    emulator.run([np.zeros_like(x[0])])
    for again, new in zip(emulator.run(x), Emulator(_program()).run(x), strict=True):
        np.testing.assert_array_equal(again, new)
