"""What an artifact keeps of every segment of the NPU, in a folder each: for whoever executes it later.

The network as Vela took it, what Vela printed, and of a C library the command stream, its constants, and
where everything is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.ethos_u.emulator.program import Placement, Program
from edgecompile.backends.ethos_u.vela import Border, Compiled
from edgecompile.core.tensor import TensorInfo

NETWORK, LOG = "network.tflite", "vela.log"
_FOLDER, _COMMANDS, _CONSTANTS, _LAYOUT = "npu", "commands.bin", "constants.bin", "layout.json"


def segment_folder(artifact: Path, index: int) -> Path:
    """The folder of a segment; the first has number 0."""
    return artifact / _FOLDER / str(index)


def segment_folders(artifact: Path) -> list[Path]:
    """Those of all segments, in order."""
    count = sum(1 for _ in (artifact / _FOLDER).iterdir())
    return [segment_folder(artifact, index) for index in range(count)]


def write_segment(
    compiled: Compiled,
    network: bytes,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    folder: Path,
) -> None:
    """Write what was made of `network`, the TensorFlow Lite file of a segment, into the new `folder`."""
    folder.mkdir(parents=True)
    (folder / NETWORK).write_bytes(network)
    (folder / LOG).write_text(compiled.log, encoding="utf-8")
    stream = compiled.stream
    if stream is None:
        return
    (folder / _COMMANDS).write_bytes(stream.commands)
    (folder / _CONSTANTS).write_bytes(stream.constants)
    layout = {
        "regions": stream.regions,
        "scratch_bytes": stream.scratch_bytes,
        "fast_bytes": stream.fast_bytes,
        "inputs": _places(inputs, stream.inputs),
        "outputs": _places(outputs, stream.outputs),
    }
    (folder / _LAYOUT).write_text(json.dumps(layout, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_program(folder: Path) -> Program:
    """The command stream of a segment as the emulator takes it."""
    layout: dict[str, Any] = json.loads((folder / _LAYOUT).read_text(encoding="utf-8"))
    constants, scratch, fast = layout["regions"]
    regions: dict[int, bytes | int] = {fast: layout["fast_bytes"], scratch: layout["scratch_bytes"]}
    regions[constants] = (folder / _CONSTANTS).read_bytes()
    inputs, outputs = (tuple(map(_placement, layout[key])) for key in ("inputs", "outputs"))
    # Tensors have regions of their own, or are in scratch memory.
    ends = sorted((place.region, place.end) for place in (*inputs, *outputs))
    own = {region: end for region, end in ends if region not in regions}
    read_only = frozenset(own) - {place.region for place in outputs}
    return Program((folder / _COMMANDS).read_bytes(), regions | own, inputs, outputs, read_only=read_only)


def _places(infos: Sequence[TensorInfo], borders: Sequence[Border]) -> list[dict[str, Any]]:
    return [info.to_json() | asdict(border) for info, border in zip(infos, borders, strict=True)]


def _placement(entry: dict[str, Any]) -> Placement:
    return Placement(entry["region"], entry["address"], tuple(entry["shape"]), np.dtype(entry["dtype"]))
