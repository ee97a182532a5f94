"""Qualcomm's HTP: a quantized network as a context binary for one generation of the Hexagon NPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.manifest import make_manifest
from edgecompile.backends.qualcomm.compiler import PACKAGE, compile_network, file_name
from edgecompile.backends.qualcomm.constraints import TABLE
from edgecompile.backends.qualcomm.pipeline import htp_passes
from edgecompile.core.artifact import Emit, MemoryFigures
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.core.target import Hexagon, Target
from edgecompile.errors import InputError, Problem, UsageError

LOG, NOTICE = "qnn.log", "NOTICE.txt"
# How the HTP rounds is not specified, and depends on its version. An eighth of the range is what a Softmax
# makes of some steps more or less in front of it; what is compiled wrong differs by all of the range.
TOLERANCE = 1 / 8
_NOTICE = """\
{file} was made by Qualcomm's compiler, version {sdk}.
To load it, a device needs onnxruntime with the execution provider onnxruntime-qnn, which is under the MIT
licence, and Qualcomm's QNN libraries, which come with that under a licence of their own (Qualcomm_LICENSE.pdf
in the package). None of them is part of this artifact: read that licence before you ship them.
"""


class HexagonBackend:
    """One context for the whole network; what is not for the HTP is refused."""

    emits: tuple[Emit, ...] = ("onnx",)
    tools: tuple[str, ...] = (PACKAGE,)

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """See `Backend`; raises UsageError (EC2590, EC2591, EC2593) for what the HTP has no choice in."""
        if request.rounding is not None:
            what = f"{request.target.name} does not round '{request.rounding}'"
            why = "the HTP rounds in its own way"
            raise UsageError(Problem("EC2590", what, "--rounding", why, "leave it out"))
        if request.fallback != "none":
            what, why = "a network for the HTP cannot be split", "the NPU computes all of it"
            raise UsageError(Problem("EC2591", what, "--fallback", why, "leave --fallback out"))
        if request.integer_io:
            what, why = (
                "inputs and outputs of a context are floats",
                "onnxruntime converts them there",
            )
            raise UsageError(Problem("EC2593", what, "--io", why, "leave --io out"))
        return htp_passes()

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """See `Backend`. Raises UnsupportedError (EC4590), and what `compile_network` raises."""
        npu = configuration(request.target)
        TABLE.check(model.graph.graph, npu, request.target.name)
        context = compile_network(model.to_bytes(), npu, request.name)
        file = file_name(request.name)
        (folder / file).write_bytes(context.model)
        (folder / LOG).write_text(context.log, encoding="utf-8")
        notice = _NOTICE.format(file=file, sdk=context.sdk)
        (folder / NOTICE).write_text(notice, encoding="utf-8")
        size = len(context.model)
        manifest = make_manifest(model, request, MemoryFigures(0, 0, size, size), tolerance=TOLERANCE)
        return Build(manifest, {"qnn_sdk": context.sdk, "notice": " ".join(notice.split())})


def configuration(target: Target) -> Hexagon:
    """The NPU of a target. Raises InputError (EC3590) for a target file that does not describe it."""
    if target.hexagon is None:
        what, fix = f"target {target.name} does not say what its NPU is", "add a table [hexagon]"
        raise InputError(Problem("EC3590", what, target.name, "", fix))
    return target.hexagon
