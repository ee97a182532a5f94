"""Builds the simulated driver: `libcuda.so.1` with the kernels of one network, compiled for this machine."""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import replace
from pathlib import Path

from edgecompile.core.target import Target, ToolchainSpec, find_target
from edgecompile.errors import InternalError, MissingToolError, Problem
from edgecompile.toolchain.base import Toolchain
from edgecompile.toolchain.find import find_toolchain

LIBRARY = "libcuda.so.1"
_FOLDER = Path(__file__).parent
# Kernels store and load vectors of floats as such, and count on integers that wrap around.
_KERNEL_FLAGS = (
    "-std=c++17",
    "-O2",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-ffp-contract=off",
    "-fno-exceptions",
)
_KERNEL = re.compile(
    r'extern "C" __global__ void (?:__launch_bounds__\((?P<threads>\d+)\) )?'
    r"(?P<name>\w+)\((?P<parameters>[^)]*)\)"
)
_MOST_THREADS = 1024


def simulation_target() -> Target:
    """This machine, for programs that load libraries. Raises MissingToolError (EC5591): no C++ compiler."""
    compilers = {"gcc": shutil.which("g++"), "clang": shutil.which("clang++")}
    candidates = (*(name for name, path in compilers.items() if path is not None), "zig")
    zig_target = f"{platform.machine()}-linux-gnu"
    host = find_target("host")
    spec = ToolchainSpec(candidates, zig_target, "baseline", dynamic=True)
    return replace(host, isa=replace(host.isa, cpu="native"), toolchain=spec)


def build_simulator(source: str, architecture: str, folder: Path) -> Path:
    """The library for the kernels in `source`, CUDA C for e.g. "sm_87"; returns its path in `folder`.

    Raises MissingToolError (EC5591) without a C++ compiler.
    """
    toolchain = simulation_toolchain()
    kernels = folder / "kernels.cpp"
    kernels.write_text(f'#include "device.h"\n{source}\n{_table(source, architecture)}', encoding="utf-8")
    include = ("-I", str(_FOLDER), "-w")
    objects = [toolchain.compile([kernels], (*_KERNEL_FLAGS, *include), folder / "kernels.o")]
    for name in ("device", "driver"):
        objects.append(toolchain.compile([_FOLDER / f"{name}.c"], ("-O2", *include), folder / f"{name}.o"))
    return toolchain.link(objects, ("-shared", f"-Wl,-soname,{LIBRARY}"), folder / LIBRARY)


def simulation_toolchain() -> Toolchain:
    """A compiler of C and C++ for this machine. Raises MissingToolError (EC5591)."""
    try:
        return find_toolchain(simulation_target(), executable=True)
    except MissingToolError as error:
        what, why = "no C++ compiler for the simulated GPU", "not found: g++, clang++, zig"
        raise MissingToolError(Problem("EC5591", what, "", why, "apt install g++")) from error


def _table(source: str, architecture: str) -> str:
    """What device.h declares of kernels: how each is called with the addresses of its arguments."""
    found = {match["name"]: match for match in _KERNEL.finditer(source)}
    if not found and "__global__" in source:
        raise InternalError(Problem("EC1350", "kernels in a form that the simulated GPU does not know"))
    rows = []
    for name, match in found.items():
        types = [_pointer_type(text) for text in match["parameters"].split(",") if text.strip()]
        values = ", ".join(f"*({kind}*)a[{index}]" for index, kind in enumerate(types))
        call = f"[](void* const* a) {{ {name}({values}); }}"
        rows.append(f'  {{"{name}", {call}, {len(types)}, {match["threads"] or _MOST_THREADS}, 0}},')
    body = "\n".join(rows) or "  {},"
    number = architecture.removeprefix("sm_")
    return (
        f'extern "C" {{\ngpu_kernel gpu_kernels[] = {{\n{body}\n}};\n'
        f"const int gpu_kernel_count = {len(rows)};\nconst int gpu_architecture = {number};\n}}\n"
    )


def _pointer_type(parameter: str) -> str:
    """`float* __restrict__ p0` -> `float*`. Raises InternalError (EC1350) for what is no pointer."""
    kind, star, _ = parameter.rpartition("*")
    if not star:
        raise InternalError(Problem("EC1350", "a kernel's parameter is no pointer", parameter.strip()))
    return f"{kind.strip()}*"
