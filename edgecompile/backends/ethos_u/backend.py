"""Arm Ethos-U: an integer network as a command stream in a C library, or in a TensorFlow Lite file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.ethos_u.constraints import check_network
from edgecompile.backends.ethos_u.library import build_stream
from edgecompile.backends.ethos_u.vela import Compiled, Stream, compile_network
from edgecompile.backends.library import write_library
from edgecompile.backends.tflite.backend import file_manifest
from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import ROUNDING, tflite_passes
from edgecompile.core.artifact import Emit
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.core.target import EthosU, Target
from edgecompile.errors import InputError, Problem, UsageError
from edgecompile.toolchain.find import find_toolchain

# Files of an artifact: the network as Vela took it, and what it made of it.
NETWORK, LOG, FOLDER = "{name}.tflite", "vela.log", "npu"


class EthosUBackend:
    """One command stream for the whole network; what is not for the NPU is refused."""

    emits: tuple[Emit, ...] = ("lib", "c", "tflite")
    tools: tuple[str, ...] = ("ethos-u-vela", "tflite", "flatbuffers")

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """See `Backend`; raises UsageError (EC2540) for another rounding than the NPU's."""
        if request.rounding not in (None, ROUNDING):
            what = f"{request.target.name} does not round '{request.rounding}'"
            raise UsageError(Problem("EC2540", what, "--rounding", "", f"leave it out, or use {ROUNDING}"))
        if request.fallback != "none":
            what, why = "a network for an Ethos-U cannot be split", "the NPU computes all of it"
            raise UsageError(Problem("EC2541", what, "--fallback", why, "leave --fallback out"))
        return tflite_passes(integer_io=True, uniform=True)

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """See `Backend`. Raises UnsupportedError (EC4540 to EC4543) and MissingToolError (EC5540)."""
        name, npu = request.name, configuration(request.target)
        check_network(model, npu, request.target)
        network = export_tflite(model)
        if request.emit == "tflite":
            compiled = compile_network(network, npu, "TFLite", name)
            return _write_file(compiled, model, request, network, folder)
        toolchain = find_toolchain(request.target)
        separate = len(model.inputs) == len(model.outputs) == 1
        compiled = compile_network(network, npu, "Raw", name, separate)
        assert compiled.stream is not None
        _keep(compiled, network, name, folder)
        write_stream(compiled.stream, folder / FOLDER)
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as scratch:
            built = build_stream(compiled.stream, model, name, Path(scratch))
            build = write_library(built, model, request, toolchain, folder, Path(scratch))
        return Build(build.manifest, build.figures | _figures(compiled))


def configuration(target: Target) -> EthosU:
    """The NPU of a target. Raises InputError (EC3540) for a target file that does not describe it."""
    if target.ethos_u is None:
        what, fix = f"target {target.name} does not say what its NPU is", "add a table [ethos_u]"
        raise InputError(Problem("EC3540", what, target.name, "", fix))
    return target.ethos_u


def _keep(compiled: Compiled, network: bytes, name: str, folder: Path) -> None:
    (folder / NETWORK.format(name=name)).write_bytes(network)
    (folder / LOG).write_text(compiled.log, encoding="utf-8")


def write_stream(stream: Stream, folder: Path) -> None:
    """The stream as files, for whoever executes it without the library."""
    folder.mkdir()
    (folder / "commands.bin").write_bytes(stream.commands)
    (folder / "constants.bin").write_bytes(stream.constants)
    layout = {key: value for key, value in asdict(stream).items() if key not in ("commands", "constants")}
    (folder / "layout.json").write_text(json.dumps(layout, indent=2, sort_keys=True) + "\n")


def _figures(compiled: Compiled) -> dict[str, Any]:
    """For the report: everything in it is Vela's estimate, nothing was measured."""
    return {"estimates": {"by": "Vela", **compiled.estimates}}


def _write_file(
    compiled: Compiled, model: Model, request: BuildRequest, network: bytes, folder: Path
) -> Build:
    """A TensorFlow Lite file with the operator ethos-u, and its description."""
    name = request.name
    _keep(compiled, network, name, folder)
    (folder / f"{name}_ethos_u.tflite").write_bytes(compiled.file)
    memories = compiled.estimates["memories"]
    arena = memories.get("sram", {"used_bytes": 0})["used_bytes"]
    return Build(file_manifest(model, request, len(compiled.file), arena), _figures(compiled))
