"""The NPU of a program that is executed elsewhere: answers what runner/driver.c sends.

The program is the artifact's own library, linked with that stand-in for the driver. So what the library hands
to the driver is checked, and what the CPU does before, between and after.
"""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.ethos_u.emulator.program import Program
from edgecompile.core.device import Platform
from edgecompile.errors import EdgeCompileError, InternalError, Problem

Array = np.ndarray[Any, Any]

_SOURCE = Path(__file__).parent / "runner" / "driver.c"
_ALIGNMENT = 16
# What the NPU leaves in scratch memory: nothing that a CPU kernel may rely on.
_LEFT_BEHIND = 0xA5
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Npu:
    """A command stream, and what computes its outputs from its inputs."""

    program: Program
    compute: Callable[[Sequence[Array]], Sequence[Array]]


class _Stopped(Exception):
    """Nobody is at the other end any more."""


class Driver:
    """Answers the invocations of one program, each of one of `npus`, in a thread of its own."""

    def __init__(self, npus: Sequence[Npu], folder: Path) -> None:
        """The pipes are in `folder`."""
        self._npus = {npu.program.command_stream: npu for npu in npus}
        self._paths = [folder / name for name in ("requests", "answers")]
        self._stop = threading.Event()
        self._error: Exception | None = None

    @property
    def platform(self) -> Platform:
        """What the program is linked with."""
        names = ("NPU_REQUESTS", "NPU_ANSWERS")
        flags = [f'-D{name}="{path}"' for name, path in zip(names, self._paths, strict=True)]
        return Platform((_SOURCE,), serial=False, flags=tuple(flags))

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer while the block runs a program. What is wrong with an invocation is raised at its end."""
        for path in self._paths:
            os.mkfifo(path)
        # Both directions: opening does not wait for the program, and its end is not the end of the pipe.
        requests, answers = (os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in self._paths)
        thread = threading.Thread(target=self._serve, args=(requests, answers))
        thread.start()
        try:
            yield
        except EdgeCompileError:
            if self._error is None:
                raise
        finally:
            self._stop.set()
            thread.join()
            for descriptor in (requests, answers):
                os.close(descriptor)
        if self._error is not None:
            raise self._error

    def _serve(self, requests: int, answers: int) -> None:
        try:
            while True:
                commands, regions = self._receive(requests)
                try:
                    changed, status = self._execute(commands, regions), 0
                except Exception as error:  # for the thread that waits
                    self._error = error
                    changed, status = [b""] * len(regions), 1
                parts = [struct.pack("<Q", len(data)) + data for data in changed]
                self._send(answers, b"".join([*parts, struct.pack("<Q", status)]))
        except _Stopped:
            return

    def _execute(self, commands: bytes, regions: list[tuple[int, bytes]]) -> list[bytes]:
        """What each region changes to, empty where nothing does."""
        npu = self._npus.get(commands)
        if npu is None:
            raise _wrong("the commands are those of no segment", f"{len(commands)} bytes")
        program = npu.program
        _check_regions(program, regions)
        inputs = [
            np.frombuffer(regions[place.region][1], np.uint8)[place.address : place.end]
            .view(place.dtype)
            .reshape(place.shape)
            for place in program.inputs
        ]
        outputs = npu.compute(inputs)
        changed = {
            number: bytearray([_LEFT_BEHIND]) * size
            for number, size in program.regions.items()
            if isinstance(size, int) and number not in program.read_only and regions[number][0]
        }
        for place, array in zip(program.outputs, outputs, strict=True):
            changed[place.region][place.address : place.end] = np.ascontiguousarray(array).tobytes()
        return [bytes(changed.get(number, b"")) for number in range(len(regions))]

    def _receive(self, pipe: int) -> tuple[bytes, list[tuple[int, bytes]]]:
        """The commands, and the address and content of every region."""
        size, count = struct.unpack("<QQ", self._read(pipe, 16))
        memory = [struct.unpack("<QQ", self._read(pipe, 16)) for _ in range(count)]
        commands = self._read(pipe, size)
        return commands, [(address, self._read(pipe, size) if address else b"") for address, size in memory]

    def _read(self, pipe: int, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            if select.select([pipe], [], [], _POLL_SECONDS)[0]:
                data += os.read(pipe, size - len(data))
            elif self._stop.is_set():
                raise _Stopped
        return bytes(data)

    def _send(self, pipe: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if select.select([], [pipe], [], _POLL_SECONDS)[1]:
                rest = rest[os.write(pipe, rest) :]
            elif self._stop.is_set():
                raise _Stopped


def _check_regions(program: Program, regions: Sequence[tuple[int, bytes]]) -> None:
    """Every region is where and what the command stream expects; fast memory is the driver's own."""
    tensors = {place.region for place in (*program.inputs, *program.outputs)}
    for number, content in program.regions.items():
        address, given = regions[number]
        size = content if isinstance(content, int) else len(content)
        if not address and (number in tensors or isinstance(content, bytes)) and size:
            raise _wrong(f"memory region {number} is missing", f"{size} bytes")
        if address % _ALIGNMENT:
            raise _wrong(f"memory region {number} is not aligned to {_ALIGNMENT} bytes", f"at {address:#x}")
        if address and (len(given) != size or (isinstance(content, bytes) and given != content)):
            raise _wrong(f"memory region {number} is another", f"{len(given)} bytes instead of {size}")


def _wrong(what: str, why: str) -> InternalError:
    fix = "this is a bug in the compiler; please report it with the network"
    return InternalError(Problem("EC1541", what, "ethosu_invoke_v3", why, fix))
