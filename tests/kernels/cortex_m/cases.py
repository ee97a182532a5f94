"""Calls of the C kernels with the results that they must give, and how to execute them here and in qemu."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgecompile.core.integer import ADD_SHIFT, Multiplier, Rounding
from edgecompile.core.process import run_program
from edgecompile.devices.icount import COUNTS, plugin_arguments
from edgecompile.devices.qemu import _machine
from edgecompile.kernels.cortex_m import armv7em
from edgecompile.kernels.cortex_m.parameters import Factors, Geometry, Output, Packed, add_words, gemm_words
from edgecompile.passes.quantize.operators import OPERATORS
from edgecompile.toolchain.build import _layout
from edgecompile.toolchain.find import find_toolchain
from tests.fakes.build import target_or_skip

Array = np.ndarray[Any, Any]
KERNELS = Path(armv7em.__file__).parent
RUNNER = Path(find_toolchain.__code__.co_filename).parent / "runner"
_folder = tempfile.TemporaryDirectory(prefix="edgecompile-tests-")

CONV, DEPTHWISE, GEMM, ADD, ADD_IN_PLACE = range(5)


class Variant(Protocol):
    """The packing of one instruction set: a module such as armv7em."""

    def pack_conv(self, weights: Array, groups: int, factors: Factors, output: Output) -> Packed: ...
    def pack_depthwise(self, weights: Array, factors: Factors, output: Output) -> Packed: ...
    def pack_gemm(self, weights: Array, factors: Factors, output: Output) -> Packed: ...
    def conv_workspace(self, geometry: Geometry) -> int: ...
    def depthwise_workspace(self, geometry: Geometry) -> int: ...
    def gemm_workspace(self, depth: int) -> int: ...


@dataclass(frozen=True)
class Case:
    """One call. `macs` are its products; `misaligned` is how far x is from an aligned address."""

    name: str
    function: int
    x: Array
    packed: Packed
    geometry: Array
    workspace: int
    expected: Array
    macs: int
    misaligned: int = 0

    def bytes(self) -> bytes:
        parts = [a.tobytes() for a in (self.x, self.packed.weights, self.packed.parameters, self.geometry)]
        sizes = [*map(len, parts), self.expected.size, self.workspace]
        head = np.array([self.function, *sizes, self.misaligned], np.int32)
        return head.tobytes() + b"".join(parts)


@dataclass(frozen=True)
class Factory:
    """Makes cases with random numbers; `factor` is about the real multiplier of a channel."""

    seed: int
    variant: Variant = armv7em
    rounding: Rounding = "single"
    factor: float = 0.002
    y_zero: int = -3
    lo: int = -128
    hi: int = 127
    extreme: bool = False

    @property
    def random(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def conv(self, geometry: Geometry, name: str = "conv") -> Case:
        """A convolution; depthwise where every channel is a group."""
        channels, outputs = geometry.x_shape[3], geometry.y_shape[3]
        x = self._integers(geometry.x_shape)
        weights = self._weights((outputs, channels // geometry.groups, *geometry.kernel))
        bias, multiplier = self._factors(outputs)
        attributes = self._attributes() | {
            "x_zero": geometry.x_zero,
            "group": geometry.groups,
            "kernel_shape": geometry.kernel,
            "strides": geometry.strides,
            "dilations": geometry.dilations,
            "pads": (*geometry.pads, *_pads_after(geometry)),
        }
        inputs = [x.transpose(0, 3, 1, 2), weights, bias, multiplier.multiplier, multiplier.shift]
        expected = OPERATORS["Conv"](inputs, attributes, np.int8).transpose(0, 2, 3, 1)
        assert expected.shape == geometry.y_shape
        output, factors = self._output(), Factors(bias, multiplier.multiplier, multiplier.shift)
        nhwc = np.ascontiguousarray(weights.transpose(0, 2, 3, 1))
        macs = expected.size * math.prod(geometry.kernel) * (channels // geometry.groups)
        if geometry.groups == channels > 1:
            packed = self.variant.pack_depthwise(nhwc[..., 0], factors, output)
            function, workspace = DEPTHWISE, self.variant.depthwise_workspace(geometry)
        else:
            packed = self.variant.pack_conv(nhwc, geometry.groups, factors, output)
            function, workspace = CONV, self.variant.conv_workspace(geometry)
        words = geometry.words(output, packed.fast)
        return Case(name, function, x, packed, words, workspace, expected, macs)

    def gemm(self, rows: int, depth: int, columns: int, name: str = "gemm") -> Case:
        x, weights = self._integers((rows, depth)), self._weights((columns, depth))
        bias, multiplier = self._factors(columns)
        inputs = [x, weights, bias, multiplier.multiplier, multiplier.shift]
        expected = OPERATORS["Gemm"](inputs, self._attributes(), np.int8)
        output = self._output()
        factors = Factors(bias, multiplier.multiplier, multiplier.shift)
        packed = self.variant.pack_gemm(weights, factors, output)
        words = gemm_words(rows, depth, columns, output, packed.fast)
        workspace = self.variant.gemm_workspace(depth)
        return Case(name, GEMM, x, packed, words, workspace, expected, rows * depth * columns)

    def add(self, count: int, scale_a: float, scale_b: float, in_place: bool = False) -> Case:
        """A sum of operands on these scales, relative to the output's; `in_place`, over the first one."""
        a, b = self._integers((count,)), self.random.permutation(self._integers((count,)))
        zeros, common = (-4, 9), 2 * max(scale_a, scale_b)
        factors = [scale_a / common, scale_b / common, common / (1 << ADD_SHIFT)]
        multiplier = Multiplier.of(factors, self.rounding)
        attributes = self._attributes() | {"a_zero": zeros[0], "b_zero": zeros[1]}
        inputs = [a, b, multiplier.multiplier, multiplier.shift]
        expected = OPERATORS["Add"](inputs, attributes, np.int8)
        words = add_words(count, zeros, multiplier.multiplier, multiplier.shift, self._output())
        packed = Packed(b, np.zeros(0, np.int32), False)
        return Case("add", ADD_IN_PLACE if in_place else ADD, a, packed, words, 0, expected, count)

    def _attributes(self) -> dict[str, Any]:
        return {"y_zero": self.y_zero, "lo": self.lo, "hi": self.hi, "rounding": self.rounding}

    def _output(self) -> Output:
        return Output(self.rounding, self.y_zero, self.lo, self.hi)

    def _integers(self, shape: Sequence[int]) -> Array:
        if self.extreme:
            return self.random.choice(np.array([-128, 127], np.int8), tuple(shape))
        return self.random.integers(-128, 128, tuple(shape), np.int8)

    def _weights(self, shape: Sequence[int]) -> Array:
        if self.extreme:
            return self.random.choice(np.array([-127, 127], np.int8), tuple(shape))
        return self.random.integers(-127, 128, tuple(shape), np.int8)

    def _factors(self, channels: int) -> tuple[Array, Multiplier]:
        random = self.random
        factors = self.factor * np.exp2(random.uniform(-1, 1, channels))
        # A power of two makes ties; a channel without any effect has a tiny factor.
        factors[::5] = np.exp2(np.floor(np.log2(factors[::5])))
        factors[3::7] *= 1e-9
        limit = min(2**24, int(200 / self.factor) + 2)
        bias = random.integers(-limit, limit + 1, channels).astype(np.int32)
        return bias, Multiplier.of(factors, self.rounding)


def geometry_of(
    x_shape: tuple[int, int, int, int],
    outputs: int,
    kernel: tuple[int, int],
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    **options: Any,
) -> Geometry:
    """A window with padding (top, left, bottom, right)."""
    shape = Geometry(x_shape, x_shape, kernel, pads=(pads[0], pads[1]), **options)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, shape.dilations, strict=True)]
    rows, columns = (
        (x_shape[1 + axis] + pads[axis] + pads[axis + 2] - spans[axis]) // shape.strides[axis] + 1
        for axis in (0, 1)
    )
    return replace(shape, y_shape=(x_shape[0], rows, columns, outputs))


def _pads_after(geometry: Geometry) -> tuple[int, ...]:
    """Padding at the bottom and right that the last window needs."""
    spans = [(k - 1) * d + 1 for k, d in zip(geometry.kernel, geometry.dilations, strict=True)]
    return tuple(
        max(
            (geometry.y_shape[1 + axis] - 1) * geometry.strides[axis]
            + spans[axis]
            - geometry.x_shape[1 + axis]
            - geometry.pads[axis],
            0,
        )
        for axis in (0, 1)
    )


@cache
def native_program(sources: str) -> Path:
    """The plain C kernels for this machine, with sanitizers; `sources` is a pattern."""
    program = Path(_folder.name) / "native"
    files = [*sorted(KERNELS.glob(sources)), Path(__file__).with_suffix(".c"), RUNNER / "platform_posix.c"]
    flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DEDGECOMPILE_PLAIN_C"]
    command = ["gcc", *flags, "-I", KERNELS, "-I", RUNNER, *files, "-o", program]
    subprocess.run([str(word) for word in command], check=True)
    return program


@cache
def firmware(sources: str, target_name: str, flags: tuple[str, ...] = ("-O2",)) -> Path:
    """The kernels for an emulated board; `sources` is a pattern."""
    target = target_or_skip(target_name)
    toolchain = find_toolchain(target, executable=True)
    folder = Path(tempfile.mkdtemp(dir=_folder.name))
    kernels = toolchain.compile(
        sorted(KERNELS.glob(sources)), ("-Wall", "-Wextra", "-Werror", *flags), folder / "kernels.o"
    )
    return toolchain.link([kernels, driver(target_name)], _layout(target, None, folder), folder / "firmware")


@cache
def driver(target_name: str) -> Path:
    """The object of what executes cases on an emulated board."""
    toolchain = find_toolchain(target_or_skip(target_name), executable=True)
    sources = [Path(__file__).with_suffix(".c")]
    sources += [RUNNER / name for name in ("platform_semihosting.c", "startup_cortex_m.c")]
    flags = ("-O2", "-I", str(KERNELS), "-I", str(RUNNER))
    return toolchain.compile(sources, flags, Path(_folder.name) / f"driver-{target_name}.o")


def run_native(cases: Sequence[Case], sources: str = "armv7em*.c") -> None:
    """Execute `cases` on this machine and compare."""
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as folder:
        _write(cases, Path(folder))
        finished = run_program([str(native_program(sources)), "cases", "results"], cwd=Path(folder))
        assert finished.status == 0, finished.stderr
        _check(cases, Path(folder))


def run_in_qemu(cases: Sequence[Case], program: Path, target_name: str) -> list[int]:
    """Execute `cases` on the emulated board and compare; the instructions of each."""
    emulator = target_or_skip(target_name).emulator
    assert emulator is not None
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as folder:
        _write(cases, Path(folder))
        plugin = plugin_arguments(emulator.program)
        command = [emulator.program, *plugin, *_machine(emulator, program, ["cases", "results"])]
        finished = run_program(command, cwd=Path(folder), timeout_s=300)
        assert finished.status == 0, finished.stdout + finished.stderr
        _check(cases, Path(folder))
        counts: list[int] = json.loads((Path(folder) / COUNTS).read_text())["segments"]
    return counts


def _write(cases: Sequence[Case], folder: Path) -> None:
    (folder / "cases").write_bytes(b"".join(case.bytes() for case in cases))


def _check(cases: Sequence[Case], folder: Path) -> None:
    data = (folder / "results").read_bytes()
    for case in cases:
        status = int(np.frombuffer(data[:4], np.int32)[0])
        result = np.frombuffer(data[4 : 4 + case.expected.size], np.int8).reshape(case.expected.shape)
        data = data[4 + case.expected.size :]
        assert status == 0, f"{case.name}: wrote outside of its buffers"
        np.testing.assert_array_equal(result, case.expected, err_msg=case.name)
    assert not data
