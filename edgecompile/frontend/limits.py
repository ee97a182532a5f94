"""How much a network may ask for before it is refused.

The numbers are far above what any device holds, and low enough that a hostile file cannot exhaust the
machine: what they bound is checked before any native code sees the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecompile.errors import InputError, Problem

MAX_FILE_BYTES = 2**31 - 1  # protobuf cannot hold more in one message
MAX_TENSOR_ELEMENTS = 2**31 - 1  # index arithmetic of 32-bit devices
MAX_RANK = 16
MAX_NODES = 1_000_000  # after functions are expanded
MAX_GRAPH_DEPTH = 16  # subgraphs within subgraphs, functions within functions

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """Bounds of the importing process: address space in bytes and wall time in seconds."""

    memory_bytes: int
    timeout_s: float


# An ONNX file and its weights (at most MAX_FILE_BYTES) several times over.
ONNX_LIMITS = Limits(16 * GIB, 300.0)
# torch maps its libraries, and the user's function may build a large network.
TORCH_LIMITS = Limits(48 * GIB, 900.0)

# First bytes (offset, bytes) of files that are often given by mistake.
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"PK\x03\x04", "a zip archive (a PyTorch checkpoint?)"),
    (0, b"\x80\x02", "a Python pickle"),
    (0, b"\x89HDF", "an HDF5 file (a Keras model?)"),
    (0, b"version https://git-lfs", "a Git LFS pointer; run 'git lfs pull'"),
    (0, b"\x7fELF", "an ELF program"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"<", "an HTML or XML page"),
)


def read_model_file(path: Path, foreign: bool = False) -> bytes:
    """The bytes of the file; raises InputError when it cannot be an ONNX model (or, with `foreign`, any).

    EC3101 cannot be read, EC3102 empty, EC3103 another kind of file, EC3104 too large.
    """
    try:
        if not path.is_file() and path.exists():
            raise OSError("it is not a regular file")
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_FILE_BYTES else b""
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(Problem("EC3101", f"cannot read '{path}'", "", why, "check the path")) from None
    if size > MAX_FILE_BYTES:
        why = f"it has {size} bytes; one protobuf message holds {MAX_FILE_BYTES}"
        raise InputError(Problem("EC3104", f"'{path}' is too large", "", why, "store weights outside it"))
    if not data:
        raise InputError(Problem("EC3102", f"'{path}' is empty", "", "it has 0 bytes", "export it again"))
    for offset, magic, kind in _FOREIGN:
        if not foreign and data[offset : offset + len(magic)] == magic:
            what, fix = f"'{path}' is not an ONNX model", "give the .onnx file"
            raise InputError(Problem("EC3103", what, "", f"it is {kind}", fix))
    return data
