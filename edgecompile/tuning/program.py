"""A program that holds candidate kernels, their constants, and the harness that measures them.

All candidates read the same inputs and write the same outputs; constants of equal contents, such as weights
that several plans pack alike, are stored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from edgecompile.core.device import Platform
from edgecompile.core.store import sha256_hex
from edgecompile.core.target import Isa, Target
from edgecompile.core.tensor import C_TYPES, TensorInfo
from edgecompile.lower.build import generate_kernels
from edgecompile.lower.kernel import Kernel
from edgecompile.lower.tir import Interface
from edgecompile.toolchain.build import build_program
from edgecompile.toolchain.find import find_toolchain
from edgecompile.tuning.record import Json

HARNESS = Path(__file__).parent / "harness"
# What a buffer begins at a multiple of: a cache line, and more than any vector.
_ALIGN = 64


@dataclass(frozen=True)
class Candidate:
    """Values of the knobs, and the scheduled function that they lead to.

    `kernel` says what its parameters are; `values` describes each of them.
    """

    knobs: Json
    function: Any
    kernel: Kernel
    values: Mapping[str, TensorInfo]

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What the kernel reads besides its constants."""
        return tuple(self.values[name] for name in self.kernel.reads if name not in self.kernel.weights)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What the kernel writes."""
        return tuple(self.values[name] for name in self.kernel.writes)


@dataclass(frozen=True)
class Compiled:
    """Candidates as code: files to link, and how each is called."""

    candidates: tuple[Candidate, ...]
    interfaces: Mapping[str, Interface]
    objects: tuple[Path, ...]
    sources: tuple[Path, ...]


def compile_candidates(candidates: Sequence[Candidate], isa: Isa, folder: Path) -> Compiled:
    """Generate code for `candidates` in one module."""
    functions = {symbol_of(index): candidate.function for index, candidate in enumerate(candidates)}
    kernels = folder / "kernels.o"
    interfaces, support = generate_kernels(functions, isa, kernels)
    objects = (kernels,) if kernels.is_file() else ()
    return Compiled(tuple(candidates), interfaces, objects, tuple(support))


def link_trials(compiled: Compiled, target: Target, platform: Platform | None, folder: Path) -> Path:
    """The program that measures `compiled` on a device that asks for `platform`, written to `folder`."""
    constants = Constants(folder)
    calls = [_call(compiled, index, constants) for index in range(len(compiled.candidates))]
    first = compiled.candidates[0]
    text = harness_template("trials.h.j2").render(
        kernels=calls,
        constants=sorted(constants.files),
        input_bytes=layout(first.inputs)[1],
        output_bytes=layout(first.outputs)[1],
        workspace_bytes=max([1, *(interface.workspace for interface in compiled.interfaces.values())]),
        evict_bytes=max(1, target.isa.l2_bytes),
    )
    (folder / "trials.h").write_text(text)
    sources = [HARNESS / "trials.c", HARNESS / "processor.c", constants.assemble(), *compiled.sources]
    # The harness is compiled for every batch, and it is not what is measured.
    flags = ["-O1", "-I", str(folder), "-I", str(HARNESS)]
    toolchain = find_toolchain(target, executable=True)
    return build_program(sources, compiled.objects, flags, target, toolchain, folder / "trials", platform)


class Constants:
    """Arrays as files beside the program, each content once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}

    def symbol(self, array: np.ndarray[Any, Any]) -> str:
        """The C symbol of the bytes of `array`."""
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        symbol = f"constant_{sha256_hex(data)[:16]}"
        if symbol not in self.files:
            self.files[symbol] = f"{symbol}.bin"
            (self.folder / self.files[symbol]).write_bytes(data)
        return symbol

    def assemble(self) -> Path:
        """An assembly file with all of them."""
        lines = [f'.balign {_ALIGN}\n.globl {s}\n{s}:\n.incbin "{f}"' for s, f in self.files.items()]
        path = self.folder / "constants.S"
        path.write_text(
            "\n".join(['.section .note.GNU-stack, "", %progbits', ".section .rodata", *lines, ""])
        )
        return path


def _call(compiled: Compiled, index: int, constants: Constants) -> dict[str, Any]:
    """What the template needs to call a candidate."""
    candidate, interface = compiled.candidates[index], compiled.interfaces[symbol_of(index)]
    kernel = candidate.kernel
    places = {
        **{name: ("in", at) for name, at in layout(candidate.inputs)[0].items()},
        **{name: ("out", at) for name, at in layout(candidate.outputs)[0].items()},
    }
    types, arguments = [], []
    for name in (*kernel.reads, *kernel.writes):
        array = kernel.weights.get(name)
        kind = C_TYPES[candidate.values[name].dtype if array is None else array.dtype.name]
        buffer, offset = places.get(name, ("", 0))
        place = constants.symbol(array) if array is not None else f"{buffer} + {offset}"
        types.append(f"{kind}*")
        arguments.append(f"({kind}*)(uintptr_t)({place})")
    if interface.tasks:
        types += ["int32_t", "int32_t"]
        arguments += ["0", str(interface.tasks)]
    if interface.workspace:
        types.append("uint8_t*")
        arguments.append("workspace")
    return {"symbol": symbol_of(index), "types": types, "arguments": arguments}


def input_bytes(infos: Sequence[TensorInfo], arrays: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """One set of inputs as the harness reads it."""
    places, total = layout(infos)
    data = bytearray(total)
    for info, array in zip(infos, arrays, strict=True):
        raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        data[places[info.name] : places[info.name] + info.nbytes] = raw
    return bytes(data)


def output_arrays(infos: Sequence[TensorInfo], data: bytes) -> list[np.ndarray[Any, Any]]:
    """The outputs of one candidate as the harness writes them."""
    places, _ = layout(infos)
    return [
        np.frombuffer(data, np.dtype(info.dtype).newbyteorder("<"), info.elements, at).reshape(info.shape)
        for info, at in zip(infos, places.values(), strict=True)
    ]


def output_size(infos: Sequence[TensorInfo]) -> int:
    """The bytes of `output_arrays`."""
    return layout(infos)[1]


def layout(infos: Sequence[TensorInfo]) -> tuple[dict[str, int], int]:
    """Where tensors lie behind each other, by name, and how many bytes they take."""
    places, total = {}, 0
    for info in infos:
        places[info.name] = total
        total += -(-info.nbytes // _ALIGN) * _ALIGN
    return places, max(total, 1)


def symbol_of(index: int) -> str:
    """What the function of a candidate is called."""
    return f"candidate_{index}"


@cache
def harness_template(name: str) -> jinja2.Template:
    """A generated header of the harness."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(HARNESS), jinja2.PackageLoader("edgecompile.lower")]
        ),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(name)
