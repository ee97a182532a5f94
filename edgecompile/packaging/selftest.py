"""The self-test that travels with a package: golden vectors as C arrays, and C that compares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecompile.core.artifact import NOISE_FACTOR, Artifact
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError, Problem, reason
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.render import describe, render

Array = np.ndarray[Any, Any]

# As many samples as fit, and one at least: C source is several times the size of its data.
MAX_BYTES = 1 << 17


@dataclass(frozen=True)
class Vector:
    """One input or output of all samples: `data` little endian, one sample of `bytes` after the other.

    `allowed` is the largest difference of a real number to the reference; 0 where every bit counts.
    """

    data: bytes
    bytes: int
    elements: int
    dtype: str
    allowed: str

    @property
    def rows(self) -> list[str]:
        """The data as lines of C numbers."""
        text = [f"{byte}" for byte in self.data]
        return [", ".join(text[i : i + 24]) for i in range(0, len(text), 24)]


def golden_vectors(artifact: Artifact) -> tuple[int, list[Vector], list[Vector]]:
    """How many samples there are, the inputs and the expected outputs. Raises InputError (EC3573)."""
    samples = _samples(artifact)
    inputs = list(_vectors(artifact, "in", artifact.manifest.inputs, samples))
    return samples, inputs, list(_vectors(artifact, "out", artifact.manifest.outputs, samples))


def selftest_files(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME_selftest.c and its header, NAME_golden.c, and a main. Raises InputError (EC3573)."""
    samples, inputs, outputs = golden_vectors(artifact)
    kinds = {vector.dtype for vector in outputs if vector.allowed != "0"}
    values = describe(artifact, options) | {
        "golden_inputs": inputs,
        "golden_outputs": outputs,
        "samples": samples,
        "kinds": kinds,
    }
    return render("selftest", values)


def _samples(artifact: Artifact) -> int:
    manifest = artifact.manifest
    one = sum(info.nbytes for info in (*manifest.inputs, *manifest.outputs))
    stored = len(_golden(artifact, "out_0"))
    return min(stored, max(1, MAX_BYTES // max(1, one)))


def _vectors(artifact: Artifact, kind: str, infos: tuple[TensorInfo, ...], samples: int) -> Iterator[Vector]:
    for k, info in enumerate(infos):
        array = _golden(artifact, f"{kind}_{k}")[:samples]
        allowed = _allowed(artifact, k, array) if kind == "out" else 0.0
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        yield Vector(data, info.nbytes, info.elements, info.dtype, f"{allowed:.9g}")


def _allowed(artifact: Artifact, k: int, expected: Array) -> float:
    """The largest difference that output `k` may have, in its own unit."""
    if expected.dtype.kind != "f" or _golden(artifact, f"exact_{k}", default=False):
        return 0.0
    noise = float(_golden(artifact, f"noise_{k}", default=0.0).item())
    scale = float(np.max(np.abs(expected.astype(float)), initial=0.0, where=np.isfinite(expected))) or 1.0
    return max(artifact.manifest.tolerance, NOISE_FACTOR * noise) * scale


def _golden(artifact: Artifact, key: str, default: float | None = None) -> Array:
    path = artifact.path / "golden.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if key not in arrays and default is not None:
                return np.asarray(default)
            return np.asarray(arrays[key])
    except (OSError, ValueError, KeyError) as error:
        why, fix = reason(error), "compile again"
        raise InputError(Problem("EC3573", "cannot read the golden vectors", str(path), why, fix)) from None
