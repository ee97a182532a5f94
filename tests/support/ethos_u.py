"""Compile TensorFlow Lite files for an Ethos-U with Vela, and take command streams apart."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.ethos_u.emulator.configuration import CONFIGURATIONS
from edgecompile.backends.ethos_u.emulator.decoder import Command
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.ethos_u.emulator.program import Placement, Program
from edgecompile.backends.ethos_u.emulator.registers import LONG_REGISTERS, OPERATIONS, SHORT_REGISTERS

Array = np.ndarray[Any, Any]

needs_vela = pytest.mark.skipif(
    importlib.util.find_spec("ethosu") is None, reason="ethosu not found (pip install ethos-u-vela)"
)
_SYSTEMS = {
    0: ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    1: ("Ethos_U65_Client_Server", "Dedicated_Sram"),
}
# "COP1", the configuration of an Ethos-U55 with 128 MACs and 24 KiB, and the number of words.
HEADER = np.array([0x31504F43, 0x00100001, 0x00001807, 0x10066001, 5, 5, 5, 2], "<u4").tobytes()


@cache
def _systems() -> str:
    spec = importlib.util.find_spec("ethosu")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(next(iter(spec.submodule_search_locations)))
    return (folder / "config_files" / "Arm" / "vela.ini").read_text(encoding="utf-8")


def compile_for(name: str, data: bytes, options: str = "") -> Program:
    """The program that Vela makes of the TensorFlow Lite file `data` for the NPU `name`.

    Raises RuntimeError when an operator of it is not for the NPU.
    """
    from ethosu import regor

    npu = CONFIGURATIONS[name]
    system, mode = _SYSTEMS[npu.product]
    configuration = (
        f"[architecture]\nmacs={npu.macs // npu.cores}\ncores={npu.cores}\n"
        f"[vela]\nsystem_config_name={system}\nmemory_mode_name={mode}\n{_systems()}"
    )
    options = f"[compiler]\noutput_format=Raw\n[scheduler]\noptimize=Performance\n{options}"
    architecture = "EthosU65" if npu.product else "EthosU55"
    return Program.from_vela(regor.compile(architecture, data, "TFLITE", configuration, options))


def encode(commands: Iterable[Command]) -> bytes:
    """A command stream for ethos-u55-128: the reverse of decoding one."""
    opcodes = {name: code for code, name in OPERATIONS.items()}
    opcodes |= {name: code for code, (name, _) in SHORT_REGISTERS.items()}
    long = {name: code for code, (name, _) in LONG_REGISTERS.items()}
    words: list[int] = []
    for command in commands:
        if command.name in long:
            high, low = command.value >> 32, command.value & 0xFFFFFFFF
            words += [long[command.name] | 0x4000 | high << 16, low]
        else:
            words.append(opcodes[command.name] | command.value << 16)
    fixed = np.frombuffer(HEADER, "<u4").copy()
    fixed[-1] = 2 | len(words) >> 16 << 8 | (len(words) & 0xFFFF) << 16
    return fixed.tobytes() + np.array(words, "<u4").tobytes()


def commands_of(settings: Sequence[tuple[str, int]]) -> list[Command]:
    """Commands in that order, with STOP behind them."""
    return [Command(number, *setting) for number, setting in enumerate([*settings, ("STOP", 0xFFFF)])]


def feature_map_settings(name: str, shape: tuple[int, int, int], dtype: str, region: int) -> dict[str, int]:
    """Registers of a feature map in NHWC at the beginning of a region, with zero point 0."""
    height, width, depth = shape
    size = np.dtype(dtype).itemsize
    precision = int(np.dtype(dtype).kind == "i") | {1: 0, 2: 1, 4: 2}[size] << (1 if name == "OFM" else 2)
    settings = {f"{name}_BASE{tile}": 0 for tile in range(4)}
    strides = {"X": depth * size, "Y": width * depth * size, "C": size}
    settings |= {f"{name}_STRIDE_{axis}": stride for axis, stride in strides.items()}
    sizes = {"HEIGHT0_M1": height - 1, "HEIGHT1_M1": height - 1, "WIDTH0_M1": width - 1}
    if name != "IFM2":
        sizes["DEPTH_M1"] = depth - 1
    if name == "OFM":
        sizes |= {"HEIGHT_M1": height - 1, "WIDTH_M1": width - 1}
    settings |= {f"{name}_{field}": value for field, value in sizes.items()}
    return settings | {f"{name}_REGION": region, f"{name}_PRECISION": precision, f"{name}_ZERO_POINT": 0}


def run_operation(
    operation: tuple[str, int],
    arrays: dict[str, Array],
    output: tuple[tuple[int, int, int], str],
    **registers: int,
) -> Array:
    """What one operation computes on ethos-u55-128 from `arrays` (IFM, IFM2), with more registers."""
    settings: dict[str, int] = {"OFM_BLK_HEIGHT_M1": 0, "OFM_BLK_WIDTH_M1": 1, "OFM_BLK_DEPTH_M1": 7}
    settings |= {"IFM_IB_END": 2, "AB_START": 2, "ACC_FORMAT": 0, "BLOCKDEP": 0, "IFM_UPSCALE": 0}
    settings |= {f"IFM_PAD_{side}": 0 for side in ("TOP", "BOTTOM", "LEFT", "RIGHT")}
    settings |= {"KERNEL_HEIGHT_M1": 0, "KERNEL_WIDTH_M1": 0, "KERNEL_STRIDE": 0, "IFM2_BROADCAST": 0}
    settings |= {"ACTIVATION": 0, "ACTIVATION_MIN": 0x8000, "ACTIVATION_MAX": 0x7FFF, "OFM_SCALE": 1}
    regions: dict[int, bytes | int] = {}
    inputs = []
    for region, (name, array) in enumerate(arrays.items(), start=2):
        settings |= feature_map_settings(name, array.shape, array.dtype.str, region)
        regions[region] = array.nbytes
        inputs.append(Placement(region, 0, array.shape, array.dtype))
    settings |= feature_map_settings("OFM", *output, region=1)
    place = Placement(1, 0, output[0], np.dtype(output[1]))
    regions[1] = place.end
    commands = commands_of([*(settings | registers).items(), operation])
    program = Program(encode(commands), regions, tuple(inputs), (place,))
    return Emulator(program).run(list(arrays.values()))[0]
