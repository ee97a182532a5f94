"""CUDA C to machine code of one GPU architecture: by an installed nvcc, or by NVRTC from its package.

Neither needs a GPU. The source includes nothing, because NVRTC comes without headers.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from edgecompile.core.process import Finished, run_program
from edgecompile.errors import InternalError, MissingToolError, Problem

_PROGRAM = Path(__file__).parent / "nvrtc.py"
# Multiply-adds are fused, division and square root are correctly rounded, denormals are kept.
_OPTIONS = ("--std=c++17", "-fmad=true", "-ftz=false", "-prec-div=true", "-prec-sqrt=true")


@dataclass(frozen=True)
class FunctionFigures:
    """What ptxas says of a kernel: registers of a thread; bytes of spilled ones, own and shared memory."""

    name: str
    registers: int
    spilled_bytes: int
    stack_bytes: int
    shared_bytes: int


@dataclass(frozen=True)
class CudaBinary:
    """The machine code for one architecture, the same as PTX (0 at its end) for newer ones, and figures."""

    cubin: bytes
    ptx: bytes
    figures: tuple[FunctionFigures, ...]


class CudaCompiler(Protocol):
    """`version` is one line, free of paths."""

    @property
    def version(self) -> str: ...

    def compile(self, source: str, architecture: str) -> CudaBinary:
        """Code for an `architecture` ("sm_87"). Raises InternalError (EC1351) with what the compiler said."""
        ...


def find_cuda_compiler() -> CudaCompiler:
    """nvcc, else NVRTC: who has a toolkit has the one that fits his driver.

    Raises MissingToolError (EC5590) with an install line.
    """
    nvcc, library = shutil.which("nvcc"), find_nvrtc()
    if nvcc is not None:
        return Nvcc(nvcc)
    if library is not None:
        return Nvrtc(library)
    why, fix = "not found: nvcc, NVRTC", "pip install 'edgecompile[cuda]'"
    raise MissingToolError(Problem("EC5590", "no compiler for CUDA", "", why, fix))


def find_nvrtc() -> Path | None:
    """The library in NVIDIA's package of it."""
    spec = find_spec("nvidia")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    found = sorted(path for place in places for path in Path(place).glob("*/lib/libnvrtc.so.*"))
    return found[-1] if found else None


class Nvcc:
    """The compiler driver of an installed toolkit."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def version(self) -> str:
        text = run_program([self._path, "--version"]).stdout
        return f"nvcc {re.findall(r'release ([0-9.]+)', text)[-1]}"

    def compile(self, source: str, architecture: str) -> CudaBinary:
        """See CudaCompiler."""
        arch = f"-arch={architecture}"
        with _folder_of(source) as folder:
            _run(folder, self._path, "--ptx", *_OPTIONS, arch, "-w", "kernels.cu", "-o", "kernels.ptx")
            done = _run(
                folder, self._path, "--cubin", arch, "-Xptxas=-v", "kernels.ptx", "-o", "kernels.cubin"
            )
            return _binary(folder, done.stdout + done.stderr)


class Nvrtc:
    """The run-time compiler as a library, called by a program of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def version(self) -> str:
        major, minor = ctypes.c_int(), ctypes.c_int()
        ctypes.CDLL(str(self._path)).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return f"NVRTC {major.value}.{minor.value}"

    def compile(self, source: str, architecture: str) -> CudaBinary:
        """See CudaCompiler."""
        options = (*_OPTIONS, f"-arch={architecture}", "--ptxas-options=-v", "-w")
        with _folder_of(source) as folder:
            _run(folder, sys.executable, "-IS", str(_PROGRAM), str(self._path), *options)
            return _binary(folder, (folder / "kernels.log").read_text(encoding="utf-8"))


@contextmanager
def _folder_of(source: str) -> Iterator[Path]:
    """A folder with `source`; compilers are told names without it, which some write into what they make."""
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
        (Path(name) / "kernels.cu").write_text(source, encoding="utf-8")
        yield Path(name)


def _run(folder: Path, *command: str) -> Finished:
    done = run_program(command, cwd=folder)
    if done.status != 0:
        log = folder / "kernels.log"
        raise _failed(log.read_text(encoding="utf-8") if log.is_file() else done.stdout + done.stderr)
    return done


def _binary(folder: Path, log: str) -> CudaBinary:
    cubin, ptx = (folder / "kernels.cubin").read_bytes(), (folder / "kernels.ptx").read_bytes()
    return CudaBinary(cubin, ptx + b"\0", parse_figures(log))


def _failed(log: str) -> InternalError:
    first = next((line for line in log.splitlines() if "error" in line), log.strip()[:200])
    return InternalError(Problem("EC1351", "CUDA code does not compile", "", first, "please report it"))


_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<spilled>\d+) bytes spill stores.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def parse_figures(log: str) -> tuple[FunctionFigures, ...]:
    """The figures of every kernel in what ptxas printed, by name."""
    found = []
    for match in _ENTRY.finditer(log):
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        found.append(
            FunctionFigures(
                match["name"],
                int(match["registers"]),
                int(match["spilled"]),
                int(match["stack"]),
                int(shared.group(1)) if shared else 0,
            )
        )
    return tuple(sorted(found, key=lambda figures: figures.name))
