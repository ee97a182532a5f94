"""A compiled network as a shared library in this process: what a caller in C would call, called from here."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleave import Call
from edgecompile.core.artifact import Artifact
from edgecompile.errors import InternalError, Problem
from edgecompile.toolchain.find import find_toolchain

Array = np.ndarray[Any, Any]


class LoadedNetwork:
    """The entry point of `artifact`, with inputs, outputs and arena in place before the first call.

    With several `threads`, for which the artifact must have been compiled, it runs on the pool that comes
    with it. `inputs` are dense arrays as the manifest describes; the library is built in `folder` from the
    artifact's own static library (or its C sources). `call` is one inference and nothing else, and uses
    memory that lives as long as this object; `outputs` are the arrays it writes. Raises InternalError or
    MissingToolError as a toolchain does, and InternalError (EC1301) when the first call fails.
    """

    def __init__(self, artifact: Artifact, inputs: Sequence[Array], folder: Path, threads: int = 1) -> None:
        manifest = artifact.manifest
        align = max(manifest.align, 64)
        self.inputs = [_aligned_copy(array, align) for array in inputs]
        self.outputs = [
            _aligned(info.nbytes, align).view(info.dtype).reshape(info.shape) for info in manifest.outputs
        ]
        self._arena = _aligned(manifest.memory.arena, align)
        self._library = ctypes.CDLL(str(link_shared(artifact, folder)))
        tables = _pointers(self.inputs), _pointers(self.outputs)
        arena = ctypes.c_void_p(self._arena.ctypes.data), ctypes.c_size_t(manifest.memory.arena)
        if threads == 1:
            self.call: Call = partial(self._library[manifest.entry], *tables, *arena)
        else:
            create = self._library[f"{manifest.name}_threads_create"]
            create.restype = ctypes.c_void_p
            pool = ctypes.c_void_p(create(threads))
            self.call = partial(self._library[f"{manifest.name}_run_parallel"], *tables, *arena, pool)
        status = self.call()
        if status != 0:
            raise InternalError(Problem("EC1301", f"{manifest.entry} returned {status}", manifest.name))


def link_shared(artifact: Artifact, folder: Path) -> Path:
    """The artifact as a shared library in `folder`; the target has to be this machine."""
    manifest = artifact.manifest
    toolchain = find_toolchain(artifact.target, executable=True)
    objects = [artifact.library]
    if manifest.emit == "c":
        flags = ("-O3", "-I", str(artifact.path / "include"))
        objects = [toolchain.compile(artifact.sources(), flags, folder / "network.o")]
    # Asking for the entry by name pulls it, and all it needs, out of the static library.
    pool = [f"-Wl,-u,{manifest.name}_threads_create", "-pthread"] if manifest.threads > 1 else []
    shared = ("-shared", f"-Wl,-u,{manifest.entry}", *pool, "-Wl,-z,defs")
    return toolchain.link(objects, shared, folder / f"{manifest.name}.so")


def _aligned(size: int, align: int) -> Array:
    """`size` writable bytes at a multiple of `align`."""
    raw = np.zeros(size + align, np.uint8)
    start = -raw.ctypes.data % align
    return raw[start : start + size]


def _aligned_copy(array: Array, align: int) -> Array:
    copy = _aligned(array.nbytes, align).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _pointers(arrays: Sequence[Array]) -> Any:
    """A C array of the addresses; never empty, because C has no empty arrays."""
    return (ctypes.c_void_p * max(1, len(arrays)))(*(array.ctypes.data for array in arrays))
