"""The program that calls NVRTC: `nvrtc.py LIBRARY OPTION...` in a folder with kernels.cu.

It writes kernels.cubin, kernels.ptx and kernels.log, and ends with 1 when the source does not compile. It is
a program of its own because what NVRTC generates depends on where things lie in memory. So it starts itself
again with addresses that do not vary and without environment. Nothing of edgecompile is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

_NO_RANDOM_ADDRESSES = 0x0040000  # ADDR_NO_RANDOMIZE of personality(2)
_AGAIN = "--again"


def main(arguments: list[str]) -> int:
    """The exit status."""
    if arguments[0] != _AGAIN:
        # Where that is not allowed, the code is as good, and differs from run to run.
        ctypes.CDLL(None).personality(_NO_RANDOM_ADDRESSES)
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        os.execve(sys.executable, [sys.executable, "-IS", __file__, _AGAIN, *arguments], kept)
    return _compile(Path(arguments[1]), arguments[2:])


def _compile(path: Path, options: list[str]) -> int:
    # Not every release finds its other half by itself.
    for builtins in sorted(path.parent.glob("libnvrtc-builtins.so*")):
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    library, program = ctypes.CDLL(str(path)), ctypes.c_void_p()
    source = Path("kernels.cu").read_bytes()
    library.nvrtcCreateProgram(ctypes.byref(program), source, b"kernels.cu", 0, None, None)
    words = [option.encode() for option in options]
    status = library.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(*words))
    made = {"ProgramLog": "log"} | ({"CUBIN": "cubin", "PTX": "ptx"} if status == 0 else {})
    for what, suffix in made.items():
        size = ctypes.c_size_t()
        getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        data = ctypes.create_string_buffer(size.value)
        getattr(library, f"nvrtcGet{what}")(program, data)
        # Texts end with a 0.
        Path(f"kernels.{suffix}").write_bytes(data.raw if what == "CUBIN" else data.value)
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
