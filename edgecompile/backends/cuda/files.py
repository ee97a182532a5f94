"""What an artifact for a GPU consists of, and how its launcher is compiled."""

from __future__ import annotations

from pathlib import Path

from edgecompile.core.target import Cuda, Target
from edgecompile.errors import InputError, Problem
from edgecompile.toolchain.base import Toolchain

# The folder of the source of the kernels, and of what the launcher is linked with: NAME and one of DATA.
FOLDER, KERNELS = "cuda", "kernels.cu"
DATA = ("cubin", "ptx", "weights")
ALIGN = 64
_FLAGS = ("-O2", "-ffunction-sections")


def describe_gpu(target: Target) -> Cuda:
    """The GPU of a target. Raises InputError (EC3020) for a target file that does not describe it."""
    if target.cuda is None:
        what, fix = f"target {target.name} does not say what its GPU is", "add a table [cuda]"
        raise InputError(Problem("EC3020", what, target.name, "", fix))
    return target.cuda


def compile_launcher(
    name: str, artifact: Path, toolchain: Toolchain, scratch: Path, *flags: str
) -> list[Path]:
    """Objects in `scratch` for the launcher of the artifact in the folder `artifact`, and for its data."""
    include = ("-I", str(artifact / "include"))
    launcher = scratch / f"{name}_launcher.o"
    toolchain.compile([artifact / "src" / f"{name}.c"], (*_FLAGS, *include, *flags), launcher)
    assembly = scratch / f"{name}_data.S"
    assembly.write_text("".join(_as_assembly(name, kind) for kind in DATA), encoding="utf-8")
    data = scratch / f"{name}_data.o"
    toolchain.compile([assembly], ("-I", str(artifact / FOLDER)), data)
    return [launcher, data]


def _as_assembly(name: str, kind: str) -> str:
    """A file as an array, hidden as the launcher declares it."""
    symbol = f"{name}_{kind}"
    return f"""
.section .note.GNU-stack, "", %progbits
.section .rodata.{symbol}, "a", %progbits
.balign {ALIGN}
.globl {symbol}
.hidden {symbol}
.type {symbol}, %object
{symbol}:
.incbin "{name}.{kind}"
.size {symbol}, . - {symbol}
"""
