"""An artifact whose C is written by hand, with known outputs and with bugs on request."""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgecompile.core.artifact import (
    Artifact,
    Manifest,
    MemoryFigures,
    StepInfo,
    open_artifact,
    seal_artifact,
)
from edgecompile.core.target import Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.toolchain.base import Toolchain

HERE = Path(__file__).parent
OUTPUT_BYTES = 52
TRACE_BYTES = 48 + 48 + 4

Bug = Literal[
    "ARENA_OVERRUN",
    "OUTPUT_OVERRUN",
    "INPUT_CHANGED",
    "ZEROED_ARENA",
    "NOT_REPEATABLE",
    "ERROR",
    "CRASH",
    "HANG",
    "DEEP_STACK",
]

_WEIGHTS = np.array([0.5, -1.0, 0.25, 2.0, -0.125, 1.5, 0.75, -0.5, 1.0, 0.0, -2.0, 0.1], np.float32)


def make_artifact(
    folder: Path,
    target: Target,
    toolchain: Toolchain,
    emit: Literal["lib", "c"] = "lib",
    bug: Bug | None = None,
) -> Artifact:
    """Write fakenet.edge into `folder`, compiled for `target` when `emit` is "lib"."""
    path = folder / "fakenet.edge"
    for part in ("include", "src", "lib"):
        (path / part).mkdir(parents=True)
    shutil.copy(HERE / "fakenet.h", path / "include")
    prefix = f"#define FAKE_BUG {bug}\n" if bug else ""
    (path / "src" / "fakenet.c").write_text(prefix + (HERE / "fakenet.c").read_text())
    if emit == "c":
        shutil.copy(HERE / "fakenet_kernels.c", path / "src")
    else:
        _make_library(path, toolchain, folder)
    seal_artifact(path, _manifest(target, emit), target)
    return open_artifact(path)


def _make_library(path: Path, toolchain: Toolchain, scratch: Path) -> None:
    flags = ("-O2", "-I", str(path / "include"))
    entry = toolchain.compile([path / "src" / "fakenet.c"], flags, scratch / "fakenet_entry.o")
    kernels = toolchain.compile([HERE / "fakenet_kernels.c"], flags, scratch / "fakenet_kernels.o")
    toolchain.archive([entry, kernels], path / "lib" / "libfakenet.a")


def _manifest(target: Target, emit: Literal["lib", "c"]) -> Manifest:
    x, y = TensorInfo("x", (12,), "float32"), TensorInfo("y", (12,), "float32")
    scaled, total = TensorInfo("scaled", (12,), "float32"), TensorInfo("total", (1,), "int32")
    steps = (
        StepInfo("fakenet_scale", ("scale",), (scaled,)),
        StepInfo("fakenet_exp", ("exp",), (y,)),
        StepInfo("fakenet_sum", ("sum",), (total,)),
    )
    return Manifest(
        name="fakenet",
        target=target.name,
        inputs=(x, TensorInfo("words", (3,), "int32")),
        outputs=(y, total),
        memory=MemoryFigures(arena=52, arena_lower_bound=52, weights=48, flash=0),
        align=16,
        entry="fakenet_run",
        steps=steps,
        emit=emit,
        tools={},
        model_sha256="",
    )


@dataclass(frozen=True)
class Samples:
    """Packed inputs of `count` samples and what the network makes of them."""

    count: int
    inputs: bytes
    scaled: np.ndarray
    exp: np.ndarray
    total: np.ndarray

    def check(self, outputs: bytes) -> None:
        """Fail unless `outputs` is what the network computes."""
        assert len(outputs) == self.count * OUTPUT_BYTES
        for index in range(self.count):
            record = outputs[index * OUTPUT_BYTES : (index + 1) * OUTPUT_BYTES]
            np.testing.assert_allclose(
                np.frombuffer(record[:48], np.float32), self.exp[index], rtol=1e-6, atol=1e-6
            )
            assert struct.unpack("<i", record[48:]) == (self.total[index],)

    def check_trace(self, trace: bytes) -> None:
        """Fail unless `trace` holds the three steps' tensors of the last sample."""
        assert len(trace) == TRACE_BYTES
        np.testing.assert_array_equal(np.frombuffer(trace[:48], np.float32), self.scaled[-1])
        np.testing.assert_allclose(
            np.frombuffer(trace[48:96], np.float32), self.exp[-1], rtol=1e-6, atol=1e-6
        )
        assert struct.unpack("<i", trace[96:]) == (self.total[-1],)


def _assert_close(data: bytes, expected: np.ndarray) -> None:
    """Equal but for the last bits, in which C libraries differ."""
    np.testing.assert_allclose(np.frombuffer(data, np.float32), expected, rtol=1e-6, atol=1e-6)


def make_samples(count: int) -> Samples:
    random = np.random.default_rng(7)
    x = random.standard_normal((count, 12)).astype(np.float32)
    words = random.integers(-1000, 1000, (count, 3), np.int32)
    scaled = x * _WEIGHTS
    mean = (scaled.astype(np.float64).sum(1, keepdims=True) / 12.0).astype(np.float32)
    exp = np.exp(scaled) + mean
    inputs = b"".join(a.tobytes() + w.tobytes() for a, w in zip(x, words, strict=True))
    return Samples(count, inputs, scaled, exp, words.sum(1))
