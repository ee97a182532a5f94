"""CUDA C to machine code of one GPU architecture: by an installed nvcc, or by NVRTC from its package.

Neither needs a GPU. The source includes nothing, because NVRTC comes without headers.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from edgecompile.core.process import run_program
from edgecompile.errors import InternalError, MissingToolError, Problem

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
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
            folder = Path(name)
            (folder / "kernels.cu").write_text(source, encoding="utf-8")
            arch = f"-arch={architecture}"
            self._run(folder, "--ptx", *_OPTIONS, arch, "-w", "kernels.cu", "-o", "kernels.ptx")
            log = self._run(folder, "--cubin", arch, "-Xptxas=-v", "kernels.ptx", "-o", "kernels.cubin")
            cubin, ptx = (folder / "kernels.cubin").read_bytes(), (folder / "kernels.ptx").read_bytes()
        return CudaBinary(cubin, ptx + b"\0", parse_figures(log))

    def _run(self, folder: Path, *words: str) -> str:
        done = run_program([self._path, *words], cwd=folder)
        if done.status != 0:
            raise _failed(done.stdout + done.stderr)
        return done.stdout + done.stderr


class Nvrtc:
    """The run-time compiler as a library."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    @property
    def version(self) -> str:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return f"NVRTC {major.value}.{minor.value}"

    def compile(self, source: str, architecture: str) -> CudaBinary:
        """See CudaCompiler."""
        program, text = ctypes.c_void_p(), source.encode()
        self._library.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None)
        try:
            words = [
                word.encode() for word in (*_OPTIONS, f"-arch={architecture}", "--ptxas-options=-v", "-w")
            ]
            array = (ctypes.c_char_p * len(words))(*words)
            status = self._library.nvrtcCompileProgram(program, len(words), array)
            log = self._fetch(program, "ProgramLog").decode()
            if status != 0:
                raise _failed(log)
            return CudaBinary(self._fetch(program, "CUBIN"), self._fetch(program, "PTX"), parse_figures(log))
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _fetch(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        data = ctypes.create_string_buffer(size.value)
        getattr(self._library, f"nvrtcGet{what}")(program, data)
        return data.raw


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
