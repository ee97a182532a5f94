"""Quantizing, compiling and executing networks in a folder that keeps what every step gave.

Emulators of NPUs take seconds for an inference. A run that is stopped, or stops by itself when its time is
over, goes on in the same folder where it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact, open_artifact
from edgecompile.core.model import Model, Provenance
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import sha256_hex, write_atomically
from edgecompile.core.target import find_target
from edgecompile.execute import execute
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.golden import npz_bytes
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
# What a network takes, or gives, for one sample.
Arrays = tuple[Array, ...]
Shapes = Mapping[str, tuple[int, ...]]
# From one array an input to one an output, each with all samples.
Run = Callable[[Sequence[Array]], Sequence[Array]]

# So many samples are executed, and kept, at a time.
_BATCH = 10


class OutOfTimeError(Exception):
    """There is more to do than time was given for."""


@dataclass(frozen=True)
class Work:
    """Steps in `folder`; after the moment `end` of time.monotonic() they raise OutOfTimeError."""

    folder: Path
    end: float = math.inf

    def imported(self, name: str, source: str, shapes: Shapes) -> Path:
        """The ONNX file that `source` is before it is quantized."""
        path = self.folder / f"{name}.onnx"
        if not path.is_file():
            self._begin()
            model, _ = import_through(source, ImportOptions(shapes), Pipeline(preparing_passes()))
            write_atomically(path, model.to_bytes())
        return path

    def quantized(self, network: Path, samples: Sequence[Arrays], recipe: str = "int8") -> Path:
        """The ONNX file that `quantize` makes of another, calibrated on `samples`."""
        path = self.folder / f"{network.stem}-{recipe}.onnx"
        if not path.is_file():
            self._begin()
            calibration = path.with_suffix(".npz")
            _keep(calibration, "in", samples)
            write_result(quantize_source(str(network), QuantizeOptions(str(calibration), recipe)), path)
        return path

    def below(self, name: str) -> Work:
        """The same in a folder of its own."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return replace(self, folder=folder)

    def artifact(self, network: Path, target: str, shapes: Shapes | None = None) -> Artifact:
        """What `compile` makes of a file; raises what `compile_model` raises."""
        path = self.folder / f"{network.stem}-{target}.edge"
        if path.is_dir():
            return open_artifact(path)
        self._begin()
        options = CompileOptions(find_target(target), shapes or {}, check_budget=False)
        return compile_model(str(network), options, path).artifact

    def outputs(self, name: str, samples: Sequence[Arrays], run: Run) -> list[Arrays]:
        """The outputs that `run` gives for each sample, kept under `name`."""
        found: list[Arrays] = []
        for start in range(0, len(samples), _BATCH):
            columns = zip(*samples[start : start + _BATCH], strict=True)
            inputs = [np.stack(column) for column in columns]
            path = self.folder / f"{name}.{_digest(inputs)}.npz"
            if not path.is_file():
                self._begin()
                _keep(path, "out", list(zip(*run(inputs), strict=True)))
            with np.load(path) as arrays:
                found += zip(*(arrays[f"out_{k}"] for k in range(len(arrays))), strict=True)
        return found

    def _begin(self) -> None:
        if time.monotonic() >= self.end:
            raise OutOfTimeError


def read_model(path: Path) -> Model:
    """An ONNX file."""
    return Model.from_bytes(path.read_bytes(), Provenance(path.name, "", 0))


def executing(artifact: Artifact, device: str | None = None) -> Run:
    """`execute` on a device."""
    return lambda inputs: execute(artifact, device, inputs).outputs


def _digest(arrays: Sequence[Array]) -> str:
    return sha256_hex(b"".join(array.tobytes() for array in arrays))[:16]


def _keep(path: Path, prefix: str, samples: Sequence[Arrays]) -> None:
    columns = [np.stack(column) for column in zip(*samples, strict=True)]
    write_atomically(path, npz_bytes({f"{prefix}_{k}": column for k, column in enumerate(columns)}))
