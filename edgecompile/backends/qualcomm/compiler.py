"""Qualcomm's compiler for the HTP and its emulator, called through onnxruntime in processes of their own.

The package onnxruntime-qnn (from version 2) is an execution provider that onnxruntime loads at run time. It
compiles a network to a context: an ONNX file with one node, which holds the binary for one architecture,
and with what converts inputs and outputs. An emulator of the HTP, which executes such binaries on x86-64,
comes with it.

Conversions are the CPU's, which does them exactly: the HTP rounds inputs to 16-bit floats first, and one in
some hundred becomes another integer. The CPU computes nothing else of a network.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.vendor import crashed, keep_network, print_into, reasons
from edgecompile.core.isolate import run_isolated
from edgecompile.core.target import Hexagon
from edgecompile.errors import (
    EdgeCompileError,
    InternalError,
    MissingToolError,
    Problem,
    UnsupportedError,
)

INSTALL = 'pip install "edgecompile[qualcomm]"'
PACKAGE = "onnxruntime-qnn"
_PROVIDER = "QNNExecutionProvider"
_CONTEXT, _CONVERSIONS = "EPContext", ("QuantizeLinear", "DequantizeLinear")
_SECONDS = 1800.0
# Severities of onnxruntime's log.
_EVERYTHING, _WARNINGS, _ERRORS = 0, 2, 3
_LOG = "log.txt"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Context:
    """A compiled network: `model` is the ONNX file, `log` what was printed, `sdk` the compiler's version."""

    model: bytes
    log: str
    sdk: str


def file_name(name: str) -> str:
    """What the context of the network `name` is called."""
    return f"{name}_htp.onnx"


def compile_network(data: bytes, npu: Hexagon, name: str) -> Context:
    """Compile the ONNX file `data` of the network `name`.

    Raises MissingToolError (EC5580) without the package, UnsupportedError (EC4591) naming what the compiler
    rejects, and InternalError (EC1341) when it crashes: then the file is kept for a report.
    """
    check_installed()
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as scratch:
        folder = Path(scratch)
        reason = _compile_isolated(data, npu, name, folder, _WARNINGS)
        if reason:
            # Only a full log says why.
            _compile_isolated(data, npu, name, folder, _EVERYTHING)
            raise UnsupportedError(*rejections(_printed(folder), reason))
        model = (folder / file_name(name)).read_bytes()
        return Context(model, _printed(folder), _sdk_of(model))


def execute_context(folder: Path, name: str, npu: Hexagon, inputs: Sequence[Array]) -> list[Array]:
    """What the emulator computes for every sample of `inputs`, (samples, *shape) each; one array an output.

    Raises MissingToolError (EC5580) without the package, and InternalError (EC1342) when it fails or crashes.
    """
    check_installed()
    model = folder / file_name(name)
    try:
        outputs: list[Array] = run_isolated(
            run_context, str(model), npu, list(inputs), task=f"executing {model.name}", timeout_s=_SECONDS
        )
    except EdgeCompileError as error:
        why, fix = reasons(error), "compile again; if it fails again, report it together with the artifact"
        raise InternalError(Problem("EC1342", "the HTP emulator failed", model.name, why, fix)) from error
    return outputs


def check_installed() -> None:
    """Raise MissingToolError (EC5580) without Qualcomm's execution provider."""
    if find_spec("onnxruntime_qnn") is None:
        what = "Qualcomm's compiler and emulator for the HTP are not installed"
        why = f"they are in {PACKAGE} 2 or later, for Linux on x86-64 with glibc 2.35 or later"
        raise MissingToolError(Problem("EC5580", what, "", why, INSTALL))


def run_compiler(data: bytes, npu: Hexagon, name: str, folder: str, severity: int) -> str:
    """In a process of its own: write the context and what is printed into `folder`. Why it failed, or ""."""
    with open(os.path.join(folder, _LOG), "wb") as log:
        print_into(log)
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = session_options(npu, severity)
    compiler = onnxruntime.ModelCompiler(options, data, embed_compiled_data_into_model=True)
    path = Path(folder) / file_name(name)
    try:
        compiler.compile_to_file(str(path))
    except (state.Fail, state.EPFail, state.NotImplemented) as error:
        return str(error)
    return left_over(path.read_bytes())


def left_over(model: bytes) -> str:
    """Why a compiled network is more than one context and conversions; "" where it is not."""
    import onnx

    nodes = onnx.load_model_from_string(model).graph.node
    others = [node.op_type for node in nodes if node.op_type not in (_CONTEXT, *_CONVERSIONS)]
    contexts = sum(node.op_type == _CONTEXT for node in nodes)
    if others:
        return f"it leaves {', '.join(dict.fromkeys(others))} to the CPU"
    return "" if contexts == 1 else f"it makes {contexts} parts of it"


def run_context(model: str, npu: Hexagon, inputs: list[Array]) -> list[Array]:
    """In a process of its own: load the context, and execute every sample."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, session_options(npu, _ERRORS))
    names = [info.name for info in session.get_inputs()]
    rows = [session.run(None, dict(zip(names, sample, strict=True))) for sample in zip(*inputs, strict=True)]
    return [np.stack(column) for column in zip(*rows, strict=True)]


def session_options(npu: Hexagon, severity: int) -> Any:
    """The HTP of `npu`, and the CPU for inputs and outputs; the settings are onnxruntime-qnn's."""
    import onnxruntime
    import onnxruntime_qnn

    onnxruntime.set_default_logger_severity(severity)
    onnxruntime.register_execution_provider_library(_PROVIDER, onnxruntime_qnn.get_library_path())
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == _PROVIDER]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = severity
    settings = {
        "backend_path": onnxruntime_qnn.get_qnn_htp_path(),
        "soc_model": str(npu.soc),
        "htp_arch": str(npu.architecture),
        # The best code that it can make, however long that takes.
        "htp_graph_finalization_optimization_mode": "3",
        "offload_graph_io_quantization": "1",
    }
    options.add_provider_for_devices(devices[:1], settings)
    return options


def rejections(log: str, reason: str) -> Sequence[Problem]:
    """A problem for each node that the log calls unsupported; one with `reason` when it names none."""
    failed = r"Validation FAILED [^\n]*\n((?:\tOperator type: [^\n]*\n)+)\tREASON : ([^\n]+)"
    node = r"Operator type: (\S+) Node name: (.*?) Node index: \d+"
    fix = "compile for a CPU, or leave the layer out of the network"
    rejected = [
        (kind, layer, why.strip())
        for nodes, why in re.findall(failed, log)
        for kind, layer in re.findall(node, nodes)
    ]
    # Together with an operator, the conversions around it are rejected.
    operators = [found for found in rejected if found[0] not in ("DequantizeLinear", "QuantizeLinear")]
    problems = [
        Problem("EC4591", f"Qualcomm's compiler does not take {kind}", layer, why, fix)
        for kind, layer, why in dict.fromkeys(operators or rejected)
    ]
    why = reason.strip().splitlines()[0]
    return problems or [Problem("EC4591", "Qualcomm's compiler rejects the network", "", why, fix)]


def _compile_isolated(data: bytes, npu: Hexagon, name: str, folder: Path, severity: int) -> str:
    try:
        reason: str = run_isolated(
            run_compiler, data, npu, name, str(folder), severity,
            task="compiling with Qualcomm's compiler", timeout_s=_SECONDS,
        )  # fmt: skip
    except EdgeCompileError as error:
        why = "; ".join([reasons(error), *_printed(folder).strip().splitlines()[-1:]])
        kept = keep_network(data, name, ".onnx")
        raise crashed("EC1341", "Qualcomm's compiler", name, why, kept) from error
    return reason


def _sdk_of(model: bytes) -> str:
    """The version of Qualcomm's libraries that a context names."""
    import onnx

    (node,) = (n for n in onnx.load_model_from_string(model).graph.node if n.op_type == _CONTEXT)
    return next((a.s.decode() for a in node.attribute if a.name == "ep_sdk_version"), "unknown")


def _printed(folder: Path) -> str:
    """What the compiler printed, without colours and the clock."""
    path = folder / _LOG
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return re.sub(r"\x1b\[[0-9;]*m|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ ", "", text)
