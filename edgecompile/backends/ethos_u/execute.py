"""Execute what was compiled for an Ethos-U: the command stream in the emulator of U55 and U65.

Of the U85, whose registers are not public in a form to build on, the network that Vela took is executed by
the reference kernels of TensorFlow Lite: that proves the network, not what Vela made of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.backend import Array, Execution
from edgecompile.backends.ethos_u.backend import FOLDER, NETWORK, configuration
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.ethos_u.emulator.program import Placement, Program
from edgecompile.backends.tflite.execute import run_reference
from edgecompile.core.artifact import Artifact
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import Problem, UsageError

EMULATOR = "ethos-u-emulator"


def run_ethos_u(artifact: Artifact, device: str | None, inputs: Sequence[Array]) -> Execution:
    """Execute every sample; see `Executor`. Raises UsageError (EC2542) for any other device."""
    if device not in (None, EMULATOR):
        what, fix = f"'{device}' does not execute command streams", f"leave --device out, or use {EMULATOR}"
        raise UsageError(Problem("EC2542", what, "--device", "", fix))
    path, manifest = artifact.path, artifact.manifest
    if configuration(artifact.target).architecture == "EthosU85" or not (path / FOLDER).is_dir():
        return run_reference(path / NETWORK.format(name=manifest.name), manifest, inputs)
    emulator = Emulator(read_program(path / FOLDER, manifest.inputs, manifest.outputs))
    rows = [emulator.run([array[i] for array in inputs]) for i in range(len(inputs[0]))]
    outputs = tuple(np.stack(column) for column in zip(*rows, strict=True))
    return Execution(outputs, EMULATOR, "executed-in-emulator")


def read_program(folder: Path, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> Program:
    """The command stream of an artifact as the emulator takes it."""
    layout: dict[str, Any] = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
    constants, scratch, fast = layout["regions"]
    regions: dict[int, bytes | int] = {fast: layout["fast_bytes"], scratch: layout["scratch_bytes"]}
    regions[constants] = (folder / "constants.bin").read_bytes()
    placed = []
    for infos, borders in ((inputs, layout["inputs"]), (outputs, layout["outputs"])):
        placed.append(
            tuple(
                Placement(border["region"], border["address"], info.shape, np.dtype(info.dtype))
                for info, border in zip(infos, borders, strict=True)
            )
        )
        for border in borders:
            regions.setdefault(border["region"], border["bytes"])
    return Program((folder / "commands.bin").read_bytes(), regions, placed[0], placed[1])
