"""Arm Ethos-U: an integer network as command streams in a C library, or in a TensorFlow Lite file."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.ethos_u.files import segment_folder, write_segment
from edgecompile.backends.ethos_u.library import replace_by_call, source_of
from edgecompile.backends.ethos_u.partition import (
    Refused,
    Segment,
    fallback_report,
    refusals,
    refuse_layers,
    segment_of,
    segments_of,
)
from edgecompile.backends.ethos_u.vela import Compiled, combine_estimates, compile_network
from edgecompile.backends.library import write_library
from edgecompile.backends.manifest import make_manifest
from edgecompile.backends.tflite.backend import ALIGNMENT
from edgecompile.backends.tflite.export import check_quantized, export_nodes
from edgecompile.backends.tflite.pipeline import ROUNDING, tflite_passes
from edgecompile.core.artifact import Emit, MemoryFigures
from edgecompile.core.model import Model, tensor_info
from edgecompile.core.pipeline import Pass
from edgecompile.core.target import EthosU, Target
from edgecompile.errors import InputError, InternalError, Problem, UnsupportedError, UsageError
from edgecompile.lower.build import BuiltNetwork, build_network
from edgecompile.passes.describe_integers import DescribeIntegers
from edgecompile.passes.select_by_convolution import SelectByConvolution
from edgecompile.toolchain.find import find_toolchain

# The file with the operator ethos-u.
PRODUCT = "{name}_ethos_u.tflite"
_SPLIT = "or split the network: --fallback cpu"


@dataclass(frozen=True)
class _Part:
    """A segment, the TensorFlow Lite file of it, and what Vela made of that."""

    segment: Segment
    network: bytes
    compiled: Compiled


class EthosUBackend:
    """Command streams for what the NPU computes: all of a network, or all but what is left to the CPU."""

    emits: tuple[Emit, ...] = ("lib", "c", "tflite")
    tools: tuple[str, ...] = ("ethos-u-vela", "tflite", "flatbuffers")

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """See `Backend`.

        Raises UsageError for another rounding than the NPU's (EC2540), and for a file in parts (EC2544).
        """
        if request.rounding not in (None, ROUNDING):
            what = f"{request.target.name} does not round '{request.rounding}'"
            raise UsageError(Problem("EC2540", what, "--rounding", "", f"leave it out, or use {ROUNDING}"))
        if request.fallback == "cpu" and request.emit == "tflite":
            what, why = "a TensorFlow Lite file cannot be split", "the CPU's part is code of a C library"
            raise UsageError(Problem("EC2544", what, "--fallback", why, "leave out --fallback, or --emit"))
        return ethos_u_passes()

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """See `Backend`. Raises UnsupportedError (EC4540 to EC4544) and MissingToolError (EC5540)."""
        npu, network = configuration(request.target), model.copy()
        check_quantized(model, request.target.name)
        refused = refusals(network, npu, request.target)
        if request.fallback == "none" and refused:
            raise _all_refused(refused)
        parts = _compile_parts(network, refused, request)
        for index, part in enumerate(parts):
            inputs, outputs = (map(tensor_info, side) for side in (part.segment.inputs, part.segment.outputs))
            where = segment_folder(folder, index)
            write_segment(part.compiled, part.network, tuple(inputs), tuple(outputs), where)
        figures = {"estimates": combine_estimates([part.compiled.estimates for part in parts])}
        if request.emit == "tflite":
            return _write_file(parts[0].compiled, model, request, figures, folder)
        if refused:
            figures["fallback"] = fallback_report(network, [part.segment for part in parts], refused)
        return _write_library(parts, network, model, request, figures, folder)


def ethos_u_passes() -> Sequence[Pass]:
    """Those of a TensorFlow Lite file, and what the NPU does in another way."""
    return (*tflite_passes(integer_io=True, uniform=True), DescribeIntegers(), SelectByConvolution(ROUNDING))


def configuration(target: Target) -> EthosU:
    """The NPU of a target. Raises InputError (EC3540) for a target file that does not describe it."""
    if target.ethos_u is None:
        what, fix = f"target {target.name} does not say what its NPU is", "add a table [ethos_u]"
        raise InputError(Problem("EC3540", what, target.name, "", fix))
    return target.ethos_u


def _all_refused(refused: Refused) -> UnsupportedError:
    problems = [problem for reasons in refused.values() for problem in reasons]
    return UnsupportedError(*(replace(p, fix=f"{p.fix}; {_SPLIT}") for p in problems))


def _compile_parts(network: Model, refused: Refused, request: BuildRequest) -> list[_Part]:
    """All segments. What Vela rejects is refused as well, where that leaves it to the CPU."""
    while True:
        segments = segments_of(network, refused)
        if not segments:
            what, why = "the NPU would compute nothing", f"{request.target.name} has none of its operators"
            fix = f"compile for the CPU: --target {request.target.isa.cpu}"
            raise UnsupportedError(Problem("EC4544", what, network.provenance.source, why, fix))
        try:
            return [_compile(segment, network, request) for segment in segments]
        except UnsupportedError as error:
            if request.fallback == "none" or not refuse_layers(error.problems, segments, refused):
                raise


def _compile(segment: Segment, network: Model, request: BuildRequest) -> _Part:
    """Tensors that are alone on their side stay where they are; see `compile_network`."""
    data = export_nodes(segment.nodes, segment.inputs, segment.outputs, network.provenance.source)
    separate = request.emit != "tflite" and len(segment.inputs) == len(segment.outputs) == 1
    form: Literal["TFLite", "Raw"] = "TFLite" if request.emit == "tflite" else "Raw"
    npu = configuration(request.target)
    try:
        return _Part(segment, data, compile_network(data, npu, form, request.name, separate))
    except InternalError as error:
        raise _crash_of_one(segment, network, npu) or error from error


def _crash_of_one(segment: Segment, network: Model, npu: EthosU) -> InternalError | None:
    """What Vela crashes on: the error of the first node that makes it by itself; None without one."""
    for node in segment.nodes:
        alone = segment_of([node])
        data = export_nodes(alone.nodes, alone.inputs, alone.outputs, network.provenance.source)
        try:
            compile_network(data, npu, "Raw", str(node.name))
        except UnsupportedError:
            continue
        except InternalError as error:
            return error
    return None


def _write_library(
    parts: Sequence[_Part],
    network: Model,
    model: Model,
    request: BuildRequest,
    figures: dict[str, Any],
    folder: Path,
) -> Build:
    toolchain = find_toolchain(request.target)
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
        scratch = Path(name)
        built = _build(parts, network, request, scratch)
        build = write_library(built, model, request, toolchain, folder, scratch)
    if "fallback" in figures:
        on_npu = {_symbol(request.name, index) for index in range(len(parts))}
        figures["fallback"]["switches"] = _switches(built, on_npu)
    return Build(build.manifest, build.figures | figures)


def _build(parts: Sequence[_Part], network: Model, request: BuildRequest, folder: Path) -> BuiltNetwork:
    """Kernels for what is left of `network` when calls are in the place of its segments, and the calls."""
    sources = []
    # The last first: a replaced segment's results are other values, which later ones would not know.
    for index, part in reversed([*enumerate(parts)]):
        symbol, stream = _symbol(request.name, index), part.compiled.stream
        assert stream is not None
        sources.append(folder / f"{symbol}.c")
        sources[-1].write_text(source_of(stream, part.segment, symbol), encoding="utf-8")
        replace_by_call(network, part.segment, stream, symbol)
    network.graph.graph.sort()
    emit, threads = request.emit, request.threads
    built = build_network(network, request.name, request.target, emit, folder, threads, request.plans)
    return replace(built, support=(*built.support, *sources))


def _symbol(name: str, index: int) -> str:
    return f"{name}_npu{index}"


def _switches(built: BuiltNetwork, on_npu: Collection[str]) -> int:
    """How often an inference goes from the CPU to the NPU, or back."""
    order = [step.symbol in on_npu for step in built.program.steps if step.symbol]
    return sum(before != after for before, after in pairwise(order))


def _write_file(
    compiled: Compiled, model: Model, request: BuildRequest, figures: dict[str, Any], folder: Path
) -> Build:
    """A TensorFlow Lite file with the operator ethos-u, and its description."""
    (folder / PRODUCT.format(name=request.name)).write_bytes(compiled.file)
    memories = compiled.estimates["memories"]
    arena = memories.get("sram", {"used_bytes": 0})["used_bytes"]
    memory = MemoryFigures(arena, arena, len(compiled.file), len(compiled.file))
    return Build(make_manifest(model, request, memory, ALIGNMENT), figures)
