"""Runners around the network that is written by hand, built once in a test process."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from edgecompile.core.device import RunRequest
from edgecompile.core.target import Target, find_target
from edgecompile.errors import MissingToolError
from edgecompile.toolchain.build import build_runner
from edgecompile.toolchain.find import find_toolchain
from tests.fakes.network import OUTPUT_BYTES, Bug, Samples, make_artifact

# Removed when the interpreter ends.
_folder = tempfile.TemporaryDirectory(prefix="edgecompile-tests-")


def target_or_skip(name: str) -> Target:
    """The target, or a skip that names the missing compiler or emulator."""
    target = find_target(name)
    try:
        find_toolchain(target, executable=True)
    except MissingToolError as error:
        pytest.skip(str(error.problems[0]))
    return emulator_or_skip(target)


def emulator_or_skip(target: Target) -> Target:
    if target.emulator is not None and shutil.which(target.emulator.program) is None:
        pytest.skip(f"{target.emulator.program} not found ({target.emulator.install})")
    return target


@cache
def fake_runner(
    name: str, *, bug: Bug | None = None, trace: bool = False, emit: Literal["lib", "c"] = "lib"
) -> Path:
    """An executable for target `name`; skips the test when its compiler or emulator is missing."""
    target = target_or_skip(name)
    folder = Path(tempfile.mkdtemp(dir=_folder.name))
    artifact = make_artifact(folder, target, find_toolchain(target), emit, bug)
    return build_runner(artifact, target, find_toolchain(target, executable=True), folder / "runner", trace)


def request_for(
    executable: Path,
    samples: Samples,
    *,
    repeats: int = 1,
    count: bool = False,
    trace: bool = False,
    timeout_s: float = 60.0,
) -> RunRequest:
    return RunRequest(
        executable,
        samples.inputs,
        samples.count,
        OUTPUT_BYTES,
        repeats=repeats,
        count_instructions=count,
        trace=trace,
        timeout_s=timeout_s,
    )
