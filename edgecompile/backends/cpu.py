"""CPUs: plain C interface kernels by LLVM or as C source, one static library, no runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.library import write_library
from edgecompile.backends.pipeline import check_fallback, cpu_passes, demanded_rounding
from edgecompile.backends.tflite.backend import tflite_file_passes, write_file
from edgecompile.core.artifact import Emit
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.lower.build import build_network
from edgecompile.toolchain.find import find_toolchain


class CpuBackend:
    """Kernels for one CPU, called by a generated entry in C; or a file for the runtime that is on it."""

    emits: tuple[Emit, ...] = ("lib", "c", "tflite")
    tools: tuple[str, ...] = ("tflite", "flatbuffers")

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """See `Backend`; raises UsageError (EC2035) and InputError (EC3060), see `demanded_rounding`."""
        check_fallback(request, "it has no accelerator beside its CPU")
        if request.emit == "tflite":
            return tflite_file_passes(request)
        rounding = request.rounding or demanded_rounding(model, request.target)
        return cpu_passes(request.target, rounding, request.integer_io)

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """Write include/, src/ and lib/ of an artifact, or the file; see `Backend`."""
        if request.emit == "tflite":
            return write_file(model, request, folder)
        name, target, emit = request.name, request.target, request.emit
        toolchain = find_toolchain(target)
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as scratch:
            built = build_network(model, name, target, emit, Path(scratch), request.threads, request.plans)
            return write_library(built, model, request, toolchain, folder, Path(scratch))
