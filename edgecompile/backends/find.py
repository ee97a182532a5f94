"""What makes and what executes artifacts of a target, by the name of its backend."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from edgecompile.backends.backend import Backend, Executor, Linker
from edgecompile.backends.constraints import Constraints
from edgecompile.core.artifact import Emit
from edgecompile.core.registry import load_plugins
from edgecompile.core.target import Target
from edgecompile.errors import InputError, Problem, did_you_mean

# Imported when asked for: what one backend needs must not be needed by all.
_BACKENDS = {
    "cpu": "edgecompile.backends.cpu:CpuBackend",
    "coreml": "edgecompile.backends.coreml.backend:CoreMlBackend",
    "cuda": "edgecompile.backends.cuda.backend:CudaBackend",
    "ethos-u": "edgecompile.backends.ethos_u.backend:EthosUBackend",
    "hexagon": "edgecompile.backends.qualcomm.backend:HexagonBackend",
}
# Artifacts of other backends are C libraries, which are executed by linking a program around them.
_EXECUTORS = {
    "cpu.tflite": "edgecompile.backends.tflite.execute:run_file",
    "coreml": "edgecompile.backends.coreml.execute:run_coreml",
    "ethos-u": "edgecompile.backends.ethos_u.execute:run_ethos_u",
    "hexagon": "edgecompile.backends.qualcomm.execute:run_hexagon",
}
# What links a program around a library that is no function of buffers, as the CPU's are.
_LINKERS = {"cuda": "edgecompile.backends.cuda.program:link_for_gpu"}
# What an accelerator computes; other backends have code for whatever there is.
_CONSTRAINTS = {
    "coreml": "edgecompile.backends.coreml.constraints:TABLE",
    "ethos-u": "edgecompile.backends.ethos_u.constraints:TABLE",
    "hexagon": "edgecompile.backends.qualcomm.constraints:TABLE",
}


def find_backend(target: Target) -> Backend:
    """The backend that `target` names.

    A plug-in is an entry point of the group "edgecompile.backends" whose object makes a Backend when called.
    Raises InputError (EC3021) for an unknown name; broken plug-ins are only warned about.
    """
    make = _find(_BACKENDS, "edgecompile.backends", target.backend)
    if make is None:
        fix = did_you_mean(target.backend, list(_BACKENDS))
        what = f"unknown backend '{target.backend}'"
        raise InputError(Problem("EC3021", what, f"target {target.name}", "", fix))
    backend: Backend = make()
    return backend


def find_executor(target: Target, emit: Emit) -> Executor | None:
    """What executes the artifacts of `target` in the form `emit`; None where they are C libraries.

    A plug-in is an entry point of the group "edgecompile.executors".
    """
    name = f"cpu.{emit}" if target.backend == "cpu" else target.backend
    executor: Executor | None = _find(_EXECUTORS, "edgecompile.executors", name)
    return executor


def find_linker(target: Target) -> Linker | None:
    """What links the program for an artifact of `target`; None where toolchain/build.py does.

    A plug-in is an entry point of the group "edgecompile.linkers".
    """
    linker: Linker | None = _find(_LINKERS, "edgecompile.linkers", target.backend)
    return linker


def find_constraints(target: Target) -> Constraints[Any] | None:
    """The table of what `target` computes; None where there is none.

    A plug-in is an entry point of the group "edgecompile.constraints".
    """
    table: Constraints[Any] | None = _find(_CONSTRAINTS, "edgecompile.constraints", target.backend)
    return table


def _find(built_in: Mapping[str, str], group: str, name: str) -> Any:
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(import_module(module), attribute)
    plugins = load_plugins(group)
    for warning in plugins.warnings:
        warnings.warn(warning, stacklevel=3)
    return plugins.found.get(name)
