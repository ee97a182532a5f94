"""The artifact: a folder with a library, its header, the graph, golden vectors and a manifest.

Byte-identical for identical inputs, records and tool versions: nothing in it depends on the clock, the
folder it was built in or the order of hashing. A verification done later goes to `verification.json`,
which no digest covers.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edgecompile.core.store import sha256_hex, write_atomically
from edgecompile.core.target import Target, parse_target, target_json
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError, Problem, reason

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
TARGET = "target.json"
VERIFICATION = "verification.json"

# A network that amplifies rounding (a logarithm of almost nothing, say) makes even two runs of the reference
# differ by more than the tolerance. A binary may differ from it by so many times what it differs from itself.
NOISE_FACTOR = 4.0

Level = Literal[
    "executed-on-device",
    "executed-in-emulator",
    "simulated",
    "reference-model",
    "graph-simulated",
    "structure-only",
]
# A static library, C source, or a file for somebody else's runtime.
Emit = Literal["lib", "c", "tflite", "onnx", "mlpackage"]


@dataclass(frozen=True)
class StepInfo:
    """One kernel call: its `symbol`, the network `layers` fused in it, and the tensor it produces.

    `outputs` names values of model.onnx, so that a trace can be compared layer by layer.
    """

    symbol: str
    layers: tuple[str, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class MemoryFigures:
    """Bytes. `arena` includes all workspace and excludes the caller's inputs and outputs.

    `arena_lower_bound` is the largest sum of bytes that must be live at one step.
    """

    arena: int
    arena_lower_bound: int
    weights: int
    flash: int


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds.

    `threads` is how many it can use at most; `files` maps each file's path in the artifact to its sha256.
    `rounding` is the mode in which a quantized network computes its integers, "" for a float network.
    `tolerance` is what real numbers may differ from the reference by, as a part of the output's range.
    """

    name: str
    target: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    memory: MemoryFigures
    align: int
    entry: str
    steps: tuple[StepInfo, ...]
    emit: Emit
    tools: dict[str, str]
    model_sha256: str
    threads: int = 1
    rounding: str = ""
    tolerance: float = 1e-4
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        record = {"schema_version": SCHEMA_VERSION} | asdict(self)
        for key in ("inputs", "outputs"):
            record[key] = [tensor.to_json() for tensor in getattr(self, key)]
        for step, source in zip(record["steps"], self.steps, strict=True):
            step["outputs"] = [tensor.to_json() for tensor in source.outputs]
        return json.dumps(record, indent=2, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Manifest:
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for text that is no manifest."""
        record = dict(json.loads(text))
        version = record.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(f"it has schema_version {version}, this edgecompile reads {SCHEMA_VERSION}")
        record["inputs"] = tuple(map(TensorInfo.from_json, record["inputs"]))
        record["outputs"] = tuple(map(TensorInfo.from_json, record["outputs"]))
        record["memory"] = MemoryFigures(**record["memory"])
        record["steps"] = tuple(
            StepInfo(s["symbol"], tuple(s["layers"]), tuple(map(TensorInfo.from_json, s["outputs"])))
            for s in record["steps"]
        )
        return Manifest(**record)


@dataclass(frozen=True)
class Verification:
    """What an execution proved: the `level` reached on `device`, on `samples` samples.

    `max_error` is the largest |difference| relative to the largest magnitude of the reference output.
    """

    level: Level
    device: str
    max_error: float
    tolerance: float
    samples: int
    passed: bool


@dataclass(frozen=True)
class Artifact:
    """An artifact on disk."""

    path: Path
    manifest: Manifest

    @property
    def target(self) -> Target:
        """What it was compiled for, as the target file said then. Raises InputError (EC3020)."""
        path = self.path / TARGET
        return parse_target(path.read_text(encoding="utf-8"), str(path))

    @property
    def header(self) -> Path:
        return self.path / "include" / f"{self.manifest.name}.h"

    def sources(self) -> list[Path]:
        return sorted((self.path / "src").glob("*.c"))

    @property
    def library(self) -> Path:
        return self.path / "lib" / f"lib{self.manifest.name}.a"

    def record_verification(self, verification: Verification) -> None:
        """Write the sidecar, in place of an earlier one; where that cannot be written, there is a warning."""
        text = json.dumps(asdict(verification), indent=2, sort_keys=True) + "\n"
        try:
            write_atomically(self.path / VERIFICATION, text.encode())
        except OSError as error:
            warnings.warn(f"not recorded in {self.path / VERIFICATION}: {reason(error)}", stacklevel=2)

    def verification(self) -> Verification | None:
        """What the sidecar says; None without one, or with one that cannot be read."""
        try:
            return Verification(**json.loads((self.path / VERIFICATION).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def seal_artifact(folder: Path, manifest: Manifest, target: Target) -> Manifest:
    """Write what `target` is, add the digest of every file in `folder` to the manifest and write that."""
    (folder / TARGET).write_text(target_json(target), encoding="utf-8")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): sha256_hex(path.read_bytes()) for path in paths}
    sealed = replace(manifest, files=digests)
    (folder / MANIFEST).write_text(sealed.to_json(), encoding="utf-8")
    return sealed


def open_artifact(path: Path) -> Artifact:
    """Read an artifact and check every digest. Raises InputError (EC3040) naming the file that is wrong."""
    try:
        manifest = Manifest.from_json((path / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        why = f"it has no {MANIFEST}" if path.is_dir() else reason(error)
        fix = "give the folder that `edgecompile compile -o` wrote"
        raise InputError(Problem("EC3040", "not an edgecompile artifact", str(path), why, fix)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what, why = "the artifact's manifest cannot be read", f"{type(error).__name__}: {error}"
        raise InputError(Problem("EC3040", what, str(path / MANIFEST), why, "compile again")) from error
    for name, digest in manifest.files.items():
        file = path / name
        if not file.is_file() or sha256_hex(file.read_bytes()) != digest:
            why, fix = f"{name} is missing or was changed", "compile again"
            raise InputError(Problem("EC3040", "damaged artifact", str(path), why, fix))
    return Artifact(path, manifest)


def report_json(path: Path) -> dict[str, Any]:
    """The artifact's report as data."""
    record: dict[str, Any] = json.loads((path / "report.json").read_text(encoding="utf-8"))
    return record
