"""Is everything here that compiling and executing needs? Packages, their pins, external programs, folders."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from edgecompile.core.isolate import run_isolated
from edgecompile.core.store import cache_dir
from edgecompile.core.target import load_targets
from edgecompile.errors import EdgeCompileError, reason
from edgecompile.lower.canary import serialise_function


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was `found`, and how to `fix` it when not `ok`.

    `required` things are needed by every compile; the others only by what `purpose` says.
    """

    subject: str
    ok: bool
    found: str
    purpose: str
    fix: str = ""
    required: bool = False


# Optional programs: name, what it is for, the line that installs it.
PROGRAMS: tuple[tuple[str, str, str], ...] = (
    ("gcc", "executables for this machine", "apt install gcc libc6-dev"),
    ("g++", "the simulated GPU", "apt install g++"),
    ("arm-none-eabi-gcc", "Cortex-M firmware", "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    ("qemu-aarch64", "executing 64-bit Arm programs here", "apt install qemu-user"),
    ("qemu-arm", "executing 32-bit Arm programs here", "apt install qemu-user"),
    ("qemu-system-arm", "executing Cortex-M firmware here", "apt install qemu-system-arm"),
    ("ssh", "devices reached over ssh", "apt install openssh-client"),
    ("adb", "Android devices", "apt install adb"),
)

# Optional packages: distribution, what it is for, the line that installs it.
PACKAGES: tuple[tuple[str, str, str], ...] = (
    ("ziglang", "executables for other Linux targets", "pip install 'edgecompile[cross]'"),
    ("nvidia-cuda-nvrtc", "NVIDIA GPUs, without a CUDA toolkit", "pip install 'edgecompile[cuda]'"),
    ("torch", "PyTorch networks", "pip install 'edgecompile[torch]'"),
    ("ethos-u-vela", "Arm Ethos-U", "pip install 'edgecompile[ethos-u]'"),
    ("onnxruntime-qnn", "Qualcomm Hexagon", "pip install 'edgecompile[qualcomm]'"),
    ("coremltools", "Core ML", "pip install 'edgecompile[coreml]'"),
    ("cryptography", "signing packages", "pip install 'edgecompile[sign]'"),
    ("distributed", "fleets", "pip install 'edgecompile[fleet]'"),
)

CANARY_SECONDS = 120.0


def examine() -> tuple[Check, ...]:
    """Look at everything; never raises for what is missing."""
    return tuple(_checks())


def _checks() -> Iterator[Check]:
    yield _python()
    yield from _required_packages()
    yield _canary()
    yield _cache()
    yield _targets()
    for package, purpose, fix in PACKAGES:
        version = _version(package)
        yield Check(package, version is not None, version or "not installed", purpose, fix)
    for program, purpose, fix in PROGRAMS:
        path = shutil.which(program)
        yield Check(program, path is not None, path or "not found", purpose, fix)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check("python", ok, version, "everything", "use Python 3.11, 3.12 or 3.13", required=True)


def _required_packages() -> Iterator[Check]:
    """Every package that edgecompile requires, against the versions it allows."""
    for text in metadata.requires("edgecompile") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        ok = version is not None and requirement.specifier.contains(version, prereleases=True)
        wanted = f"{requirement.name}{requirement.specifier}"
        found = version or "not installed"
        yield Check(requirement.name, ok, found, "everything", f"pip install '{wanted}'", required=True)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _canary() -> Check:
    """TVM with an unfitting tvm-ffi compiles and runs, but crashes when it serialises a function."""
    purpose, fix = "everything", "pip install --force-reinstall edgecompile"
    try:
        version = run_isolated(serialise_function, task="trying TVM", timeout_s=CANARY_SECONDS)
    except EdgeCompileError as error:
        return Check("tvm with tvm-ffi", False, error.problems[0].why, purpose, fix, required=True)
    return Check("tvm with tvm-ffi", True, f"{version} works", purpose, fix, required=True)


def _cache() -> Check:
    purpose, fix = "compiled runners and plugins", "set EDGECOMPILE_CACHE to a folder you can write"
    try:
        folder = cache_dir()
        with tempfile.TemporaryFile(dir=folder):
            return Check("cache folder", True, str(folder), purpose, fix, required=True)
    except OSError as error:
        why = reason(error)
    except EdgeCompileError as error:
        why = error.problems[0].why
    return Check("cache folder", False, why, purpose, fix, required=True)


def _targets() -> Check:
    purpose, fix = "everything", "pip install --force-reinstall edgecompile"
    try:
        count = len(load_targets())
    except EdgeCompileError as error:
        return Check("targets", False, str(error), purpose, fix, required=True)
    return Check("targets", count > 0, f"{count} known", purpose, fix, required=True)
