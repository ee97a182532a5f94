"""Arm's compiler for the Ethos-U, Vela, called through its Python module and in a process of its own.

It is native code that ends the process on some inputs, so it runs where that is an error message.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from edgecompile.backends.vendor import crashed, keep_network, print_into, reasons
from edgecompile.core.isolate import run_isolated
from edgecompile.core.target import EthosU
from edgecompile.errors import EdgeCompileError, MissingToolError, Problem, UnsupportedError

INSTALL = 'pip install "edgecompile[ethos-u]"'
# `separate`: inputs get a region of their own, and outputs another. A network with one of each then works on
# the caller's buffers as they are; Vela puts several inputs one after the other, so that they must be copied.
_OPTIONS = """[compiler]
output_format={form}
cop_format=COP1
[scheduler]
optimize=Performance
separate_io_regions={separate}
cpu_tensor_alignment=16
"""
_SUFFIX = ".tflite"
_SECONDS = 600.0


@dataclass(frozen=True)
class Border:
    """An input or output of a command stream: `bytes` at `address` in memory region `region`."""

    region: int
    address: int
    bytes: int


@dataclass(frozen=True)
class Stream:
    """A command stream, the constants that it reads, and what memory it needs beside.

    `regions` are the numbers of constants, scratch memory, and fast scratch memory. Sizes are bytes.
    """

    commands: bytes
    constants: bytes
    scratch_bytes: int
    fast_bytes: int
    regions: tuple[int, int, int]
    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]


@dataclass(frozen=True)
class Compiled:
    """What Vela says of a network: a `stream`, or a TensorFlow Lite file with the operator ethos-u in `file`.

    `estimates` are Vela's own; `log` is what it printed.
    """

    stream: Stream | None
    file: bytes
    estimates: dict[str, Any]
    log: str


def compile_network(
    data: bytes, npu: EthosU, form: Literal["Raw", "TFLite"], name: str, separate: bool = False
) -> Compiled:
    """Compile the TensorFlow Lite file `data` of the network `name`.

    With `separate`, inputs and outputs are not in the scratch memory but in a memory region each.
    Raises MissingToolError (EC5540) without Vela, UnsupportedError (EC4541) naming what it rejects, and
    InternalError (EC1540) when it crashes: then the file is kept, for a report.
    """
    if find_spec("ethosu") is None:
        what, why = "Vela, the compiler for the Ethos-U, is not installed", "its module is called ethosu"
        raise MissingToolError(Problem("EC5540", what, "", why, INSTALL))
    try:
        compiled: Compiled = run_isolated(
            run_vela, data, npu, form, separate, task="compiling with Vela", timeout_s=_SECONDS
        )
    except UnsupportedError as error:
        kept = keep_network(data, name, _SUFFIX)
        problems = (replace(p, fix=f"{p.fix}; what Vela rejects is in {kept}") for p in error.problems)
        raise UnsupportedError(*problems) from error
    except EdgeCompileError as error:
        kept = keep_network(data, name, _SUFFIX)
        raise crashed("EC1540", "Vela", name, reasons(error), kept) from error
    return compiled


def run_vela(data: bytes, npu: EthosU, form: str, separate: bool) -> Compiled:
    """In a process of its own: compile, with all that is printed in the log."""
    from ethosu import regor

    options = _OPTIONS.format(form=form, separate=str(separate).lower())
    with tempfile.TemporaryFile() as log:
        print_into(log)
        try:
            result = regor.compile(npu.architecture, data, "TFLITE", _configuration(npu), options, True)
            reason = ""
        except RuntimeError as error:
            reason = str(error)
        log.seek(0)
        text = log.read().decode(errors="replace")
    if reason:
        raise UnsupportedError(*rejections(text, reason))
    raw = form == "Raw"
    stream_ = _stream(result) if raw else None
    return Compiled(stream_, b"" if raw else bytes(result.model), _estimates(result.perf_report, npu), text)


def rejections(log: str, reason: str) -> Sequence[Problem]:
    """A problem for each operator that the log calls unsupported; one with `reason` when it names none."""
    found = re.findall(r"operator: (\S+), ofm: '([^']*)'\s*\nReason: ([^\n]+)", log)
    fix = "compile for a CPU, or leave the layer out of the network"
    problems = [
        Problem("EC4541", f"Vela does not compile {kind} for this NPU", layer, why.strip(), fix)
        for kind, layer, why in found
    ]
    return problems or [
        Problem("EC4541", "Vela rejects the network", "", reason.strip().splitlines()[0], fix)
    ]


def _configuration(npu: EthosU) -> str:
    """Vela's configuration: the NPU, and the file with systems and memory modes that comes with it."""
    spec = find_spec("ethosu")
    assert spec is not None
    (folder,) = list(spec.submodule_search_locations or ())[:1]
    systems = (Path(folder) / "config_files" / "Arm" / "vela.ini").read_text(encoding="utf-8")
    return (
        f"[architecture]\nmacs={npu.macs}\ncores={npu.cores}\n[vela]\n"
        f"system_config_name={npu.system}\nmemory_mode_name={npu.memory_mode}\n{systems}"
    )


def _stream(result: Any) -> Stream:
    inputs, outputs = (
        tuple(Border(t.region, t.address, t.size) for t in tensors)
        for tensors in (result.inputs, result.outputs)
    )
    return Stream(
        bytes(result.command_stream),
        bytes(result.read_only.data),
        int(result.scratch.size),
        int(result.scratch_fast.size),
        (result.read_only.region, result.scratch.region, result.scratch_fast.region),
        inputs,
        outputs,
    )


def _estimates(report: Any, npu: EthosU) -> dict[str, Any]:
    """Cycles of a run, multiply-accumulates, and for each memory its use and traffic in bytes."""
    memories = {}
    for label, memory in report.memories.items():
        name = str(label).lower()
        accesses = list(memory.accesses.values())
        if name in ("shram", "lutram"):
            continue
        memories[name] = {
            "used_bytes": int(memory.peakUsage),
            "read_bytes": sum(int(access.bytesRead) for access in accesses),
            "written_bytes": sum(int(access.bytesWritten) for access in accesses),
        }
    return {
        "npu_cycles": int(report.npuCycles),
        "total_cycles": int(report.totalCycles),
        "multiply_accumulates": int(report.macCount),
        "npu_operators": int(report.npuOps),
        "cpu_operators": int(report.cpuOps),
        "system": npu.system,
        "memory_mode": npu.memory_mode,
        "memories": dict(sorted(memories.items())),
    }


def combine_estimates(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Those of several networks that are executed one after the other, none of which is measured."""
    first = parts[0]
    total: dict[str, Any] = {"by": "Vela", **first}
    for key in ("npu_cycles", "total_cycles", "multiply_accumulates", "npu_operators", "cpu_operators"):
        total[key] = sum(part[key] for part in parts)
    names = sorted({name for part in parts for name in part["memories"]})
    total["memories"] = {
        name: _combine_memory([part["memories"][name] for part in parts if name in part["memories"]])
        for name in names
    }
    return total


def _combine_memory(uses: Sequence[dict[str, int]]) -> dict[str, int]:
    """Traffic adds up, and so does what is only read; what is written is used by one after the other."""
    traffic = {key: sum(use[key] for use in uses) for key in ("read_bytes", "written_bytes")}
    used = [use["used_bytes"] for use in uses]
    return {"used_bytes": max(used) if traffic["written_bytes"] else sum(used)} | traffic
