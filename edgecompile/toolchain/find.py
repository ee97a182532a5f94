"""Which C toolchain compiles for a target on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgecompile.core.process import find_zig
from edgecompile.core.target import Target
from edgecompile.errors import MissingToolError, Problem
from edgecompile.toolchain.base import Toolchain

_FREESTANDING = Path(__file__).parent / "freestanding"

_INSTALL = {
    "zig": "pip install 'edgecompile[cross]'",
    "arm-none-eabi-gcc": "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "gcc": "apt install gcc libc6-dev",
}


def find_toolchain(target: Target, *, executable: bool = False) -> Toolchain:
    """The first of the target's candidates that is installed.

    For firmware, zig can make a static library but no `executable`, because it brings no C library for bare
    metal. Raises MissingToolError (EC5010) with an install line when nothing is there.
    """
    candidates = [
        name for name in target.toolchain.candidates if not (executable and _lacks_libc(name, target))
    ]
    for name in candidates:
        toolchain = _zig(target) if name == "zig" else _gcc_style(name, target)
        if toolchain is not None:
            return toolchain
    what = f"no C {'compiler and linker' if executable else 'compiler'} for {target.name}"
    why, fix = f"not found: {', '.join(candidates)}", _install_line(candidates[0])
    raise MissingToolError(Problem("EC5010", what, "", why, fix))


def _lacks_libc(name: str, target: Target) -> bool:
    return name == "zig" and target.toolchain.firmware


def _install_line(name: str) -> str:
    if name in _INSTALL:
        return _INSTALL[name]
    prefix = name.removesuffix("-gcc")
    return f"apt install {name if prefix == name else f'gcc-{prefix}'}"


def _zig(target: Target) -> Toolchain | None:
    zig = find_zig()
    if zig is None or not target.toolchain.zig_target:
        return None
    spec = target.toolchain
    headers = ("-isystem", str(_FREESTANDING)) if spec.firmware else ("-fPIC",)
    return Toolchain(
        name="zig",
        # No CPU here: zig builds a C library for each one it sees, and one an architecture is enough.
        compiler=(zig, "cc", "-target", spec.zig_target),
        # Without an -O option zig adds the undefined behaviour sanitizer and its run-time library.
        compile_flags=(f"-mcpu={spec.zig_cpu}", "-fno-sanitize=undefined", *headers),
        link_flags=("-lm", "-Wl,--gc-sections", "-ldl" if spec.dynamic else "-static"),
        archiver=(zig, "ar"),
        version_command=(zig, "version"),
        install=_install_line("zig"),
    )


def _gcc_style(name: str, target: Target) -> Toolchain | None:
    """gcc or clang; a cross compiler's archiver has the same prefix."""
    archiver = f"{name.removesuffix('gcc')}ar" if name.endswith("-gcc") else "ar"
    compiler_path, archiver_path = shutil.which(name), shutil.which(archiver)
    if compiler_path is None or archiver_path is None:
        return None
    return Toolchain(
        name=name,
        compiler=(compiler_path, *target.toolchain.flags),
        compile_flags=() if target.toolchain.firmware else ("-fPIC",),
        link_flags=("-lm", "-Wl,--gc-sections", *_link_mode(target)),
        archiver=(archiver_path,),
        version_command=(compiler_path, "--version"),
        install=_install_line(name),
    )


def _link_mode(target: Target) -> tuple[str, ...]:
    """Static where the program travels to another machine, whose C library is not known here."""
    if target.toolchain.firmware:
        return ("-nostartfiles",)
    if target.toolchain.dynamic:
        return ("-ldl",)
    return () if target.isa.cpu == "native" else ("-static",)
