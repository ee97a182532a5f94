"""A program that holds candidate kernels of a GPU as machine code, and launches and measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.cuda.files import describe_gpu
from edgecompile.backends.cuda.program import machine_for
from edgecompile.core.device import Device
from edgecompile.core.target import Target
from edgecompile.lower.cuda import CudaSource, generate_cuda
from edgecompile.lower.grids import Launch
from edgecompile.toolchain.build import build_program
from edgecompile.toolchain.cuda import find_cuda_compiler
from edgecompile.toolchain.find import find_toolchain
from edgecompile.tuning.program import HARNESS, Candidate, Constants, harness_template, layout, symbol_of

# The numbers of places in gpu.c.
_INPUTS, _OUTPUTS, _WORKSPACE, _FIRST_CONSTANT = 0, 1, 2, 4


def link_gpu_trials(
    candidates: Sequence[Candidate], target: Target, device: Device | None, folder: Path
) -> Path:
    """The program in `folder` that measures `candidates` on `device`, or another with the GPU of `target`.

    For the simulated GPU a driver with the kernels is put beside it. Raises MissingToolError.
    """
    gpu = describe_gpu(target)
    functions = {symbol_of(index): candidate.function for index, candidate in enumerate(candidates)}
    source = generate_cuda(functions, gpu.architecture)
    code = find_cuda_compiler().compile(source.text, gpu.architecture).cubin
    constants = Constants(folder)
    tables = _Tables(source, constants)
    for index, candidate in enumerate(candidates):
        tables.add(index, candidate)
    text = harness_template("trials_gpu.h.j2").render(
        upper="TRIALS",
        code=constants.symbol(np.frombuffer(code, np.uint8)),
        input_bytes=layout(candidates[0].inputs)[1],
        output_bytes=layout(candidates[0].outputs)[1],
        workspace_bytes=max(1, *(kernel.workspace for kernel in source.kernels.values())),
        constants=[{"symbol": name, "bytes": nbytes} for name, nbytes in tables.constants.items()],
        functions=list(tables.functions),
        arguments=tables.arguments,
        most_arguments=max(launch["count"] for launch in tables.launches),
        launches=tables.launches,
        first_launch=tables.first_launch,
    )
    (folder / "trials.h").write_text(text)
    machine, link_flags = machine_for(device, target, source.text, folder)
    toolchain = find_toolchain(machine, executable=True)
    sources = [HARNESS / "trials.c", HARNESS / "gpu.c", constants.assemble()]
    flags = ["-I", str(folder), "-I", str(HARNESS)]
    return build_program(sources, [], flags, machine, toolchain, folder / "trials", link_flags=link_flags)


class _Tables:
    """What the candidates launch, with which arguments; and the bytes of their constants by symbol."""

    def __init__(self, source: CudaSource, store: Constants) -> None:
        self.source, self.store = source, store
        self.constants: dict[str, int] = {}
        self.functions: dict[str, int] = {}
        self.launches: list[dict[str, Any]] = []
        self.arguments: list[dict[str, int]] = []
        self.first_launch = [0]

    def add(self, index: int, candidate: Candidate) -> None:
        """One more candidate."""
        places = self._places(candidate)
        for launch in self.source.kernels[symbol_of(index)].launches:
            self._launch(launch, places)
        self.first_launch.append(len(self.launches))

    def _launch(self, launch: Launch, places: Sequence[dict[str, int]]) -> None:
        arguments = [places[number] for number in launch.arguments]
        arguments += [_place(_WORKSPACE)] if launch.works_there else []
        self.launches.append(
            {
                "function": self.functions.setdefault(launch.name, len(self.functions)),
                "blocks": launch.blocks,
                "threads": launch.threads,
                "first": len(self.arguments),
                "count": len(arguments),
            }
        )
        self.arguments += arguments

    def _places(self, candidate: Candidate) -> list[dict[str, int]]:
        """Where each parameter of the kernel's function is."""
        kernel = candidate.kernel
        known: Mapping[str, dict[str, int]] = {
            **{name: _place(_INPUTS, at) for name, at in layout(candidate.inputs)[0].items()},
            **{name: _place(_OUTPUTS, at) for name, at in layout(candidate.outputs)[0].items()},
            **{name: self._constant(array) for name, array in kernel.weights.items()},
        }
        return [known[name] for name in (*kernel.reads, *kernel.writes)]

    def _constant(self, array: np.ndarray[Any, Any]) -> dict[str, int]:
        self.constants.setdefault(self.store.symbol(array), array.nbytes)
        return _place(_FIRST_CONSTANT + list(self.constants).index(self.store.symbol(array)))


def _place(number: int, offset: int = 0) -> dict[str, int]:
    return {"place": number, "offset": offset}
