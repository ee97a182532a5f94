"""What makes and what executes artifacts of a target, by the name of its backend."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from edgecompile.backends.backend import Backend, Executor
from edgecompile.core.registry import load_plugins
from edgecompile.core.target import Target
from edgecompile.errors import InputError, Problem, did_you_mean

# Imported when asked for: what one backend needs must not be needed by all.
_BACKENDS = {
    "cpu": "edgecompile.backends.cpu:CpuBackend",
}
# Artifacts of other backends are C libraries, which are executed by linking a program around them.
_EXECUTORS: dict[str, str] = {}


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


def find_executor(target: Target) -> Executor | None:
    """What executes the artifacts of `target`; None where they are C libraries.

    A plug-in is an entry point of the group "edgecompile.executors".
    """
    executor: Executor | None = _find(_EXECUTORS, "edgecompile.executors", target.backend)
    return executor


def _find(built_in: Mapping[str, str], group: str, name: str) -> Any:
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(import_module(module), attribute)
    plugins = load_plugins(group)
    for warning in plugins.warnings:
        warnings.warn(warning, stacklevel=3)
    return plugins.found.get(name)
