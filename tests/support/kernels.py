"""Compute definitions by themselves: compiled, with or without the default schedule, and called."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tvm import te

from edgecompile.core.target import Isa, find_target
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.lower.codegen import kernels_to_object

Array = np.ndarray[Any, Any]
# Takes placeholders, returns the computed tensor or tensors.
Definition = Callable[..., "te.Tensor | Sequence[te.Tensor]"]


def compute(
    definition: Definition, *inputs: Array, scheduled: bool = True, isa: Isa | None = None
) -> list[Array]:
    """The results of `definition` for `inputs`, executed on this machine; scheduled for `isa` if given."""
    host = find_target("host")
    tensors = [te.placeholder(a.shape, a.dtype.name, name=f"x{i}") for i, a in enumerate(inputs)]
    built = definition(*tensors)
    outputs = [built] if isinstance(built, te.Tensor) else list(built)
    function = te.create_prim_func([*tensors, *outputs])
    if scheduled:
        function = schedule_default(function, isa or host.isa)
    results = [np.empty([int(e) for e in t.shape], str(t.dtype)) for t in outputs]
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as folder:
        source, library = Path(folder) / "kernel.o", Path(folder) / "kernel.so"
        interface = kernels_to_object({"kernel": function}, host.isa, source)["kernel"]
        subprocess.run(["gcc", "-shared", "-o", library, source, "-lm"], check=True)
        buffers = [np.ascontiguousarray(a) for a in inputs] + results
        workspace = np.full(interface.workspace + 64, 0xA5, np.uint8)
        pointers = [ctypes.c_void_p(buffer.ctypes.data) for buffer in buffers]
        bounds = [ctypes.c_int32(0), ctypes.c_int32(interface.tasks)] if interface.tasks else []
        arguments = [*pointers, *bounds, ctypes.c_void_p(workspace.ctypes.data)]
        assert ctypes.CDLL(str(library)).kernel(*arguments) == 0
    return results
