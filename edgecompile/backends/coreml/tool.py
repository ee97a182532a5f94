"""Apple's coremltools, called in a process of its own.

It looks for every framework that it could convert from, imports native code, and prints as it pleases: there
all that goes into a log, and a crash is an error message.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from edgecompile.backends.coreml.writer import write_package
from edgecompile.backends.vendor import crashed, keep_network, print_into, reasons
from edgecompile.core.isolate import run_isolated
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import CoreMl
from edgecompile.errors import EdgeCompileError, MissingToolError, Problem, UnsupportedError

INSTALL = 'pip install "edgecompile[coreml]"'
_SECONDS = 600.0
# What coremltools imports when it is there, to convert from it; nothing here is converted from these.
_FRAMEWORKS = ("torch", "tensorflow", "sklearn", "xgboost", "libsvm", "executorch")


def write_network(model: Model, settings: CoreMl, package: Path, name: str) -> str:
    """Write the network `name` as the Core ML package `package`; gives what coremltools printed.

    Raises MissingToolError (EC5585) without coremltools, UnsupportedError (EC4601) with every node that it
    rejects, and InternalError (EC1345) when it crashes; for these two the network is kept for a report.
    """
    if find_spec("coremltools") is None:
        what, why = "coremltools, which writes Core ML models, is not installed", "its module is coremltools"
        raise MissingToolError(Problem("EC5585", what, "", why, INSTALL))
    data = model.to_bytes()
    try:
        log: str = run_isolated(
            run_coremltools,
            data,
            model.provenance,
            settings,
            package,
            task="writing a Core ML model",
            timeout_s=_SECONDS,
        )
    except UnsupportedError as error:
        kept = keep_network(data, name, ".onnx")
        problems = (replace(p, fix=f"{p.fix}; the network is in {kept}") for p in error.problems)
        raise UnsupportedError(*problems) from error
    except EdgeCompileError as error:
        kept = keep_network(data, name, ".onnx")
        raise crashed("EC1345", "coremltools", name, reasons(error), kept) from error
    return log


def run_coremltools(data: bytes, provenance: Provenance, settings: CoreMl, package: Path) -> str:
    """In a process of its own: write the package, with all that is printed in the log."""
    for framework in _FRAMEWORKS:
        # What else is installed must change neither the log nor how long this takes.
        sys.modules[framework] = None  # type: ignore[assignment]
    os.environ["TQDM_DISABLE"] = "1"  # no bars with times in the log
    with tempfile.TemporaryFile() as log:
        print_into(log)
        write_package(Model.from_bytes(data, provenance), settings, package)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        log.seek(0)
        return log.read().decode(errors="replace")
