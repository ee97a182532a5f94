"""The TensorFlow Lite file that Vela writes: one operator, ethos-u, whose inputs are commands and memory.

Commands, constants, scratch memory and fast scratch memory are its first inputs, then come the network's; the
last three of the four are memory regions 0 to 2. The network's tensors are in scratch memory, where the table
of the metadata "OfflineMemoryAllocation" puts them (as TensorFlow Lite for Microcontrollers reads it:
version, subgraph, number of tensors, and for each an offset, -1 where it is not planned).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from edgecompile.backends.ethos_u.emulator.program import Placement, Program
from edgecompile.errors import InternalError, Problem

_OPERATOR, _PLAN = b"ethos-u", b"OfflineMemoryAllocation"
_SCRATCH, _FAST = 1, 2
_PLAN_HEADER = 3


def read_product(data: bytes, name: str) -> Program:
    """The program in the file `data`, which messages call `name`.

    Raises InternalError (EC1542) when there is another operator than the NPU's.
    """
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
    if [code.CustomCode() for code in codes] != [_OPERATOR]:
        what, why = "the file has other operators than the NPU's", f"{len(codes)} operators"
        raise InternalError(Problem("EC1542", what, name, why, "please report this with the network"))
    commands, constants, scratch, fast = graph.Operators(0).InputsAsNumpy()[:4]
    offsets = _offsets(model)
    inputs, outputs = (
        tuple(_placement(graph.Tensors(i), offsets[i] - offsets[scratch]) for i in indices)
        for indices in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
    )
    regions: dict[int, bytes | int] = {0: _content(model, graph, constants)}
    regions |= {_SCRATCH: _size(graph, scratch), _FAST: _size(graph, fast) if fast != scratch else 0}
    return Program(_content(model, graph, commands), regions, inputs, outputs)


def _offsets(model: Any) -> list[int]:
    """Where each tensor is in scratch memory."""
    found = (model.Metadata(i) for i in range(model.MetadataLength()))
    (plan,) = (entry for entry in found if entry.Name() == _PLAN)
    numbers = np.frombuffer(model.Buffers(plan.Buffer()).DataAsNumpy().tobytes(), "<i4")
    return [int(number) for number in numbers[_PLAN_HEADER:]]


def _placement(tensor: Any, offset: int) -> Placement:
    """Integers are signed: those of the network are."""
    shape = tuple(int(size) for size in tensor.ShapeAsNumpy())
    return Placement(_SCRATCH, int(offset), shape, np.dtype(np.int8))


def _content(model: Any, graph: Any, index: int) -> bytes:
    buffer = model.Buffers(graph.Tensors(int(index)).Buffer())
    return bytes(buffer.DataAsNumpy()) if buffer.DataLength() else b""


def _size(graph: Any, index: int) -> int:
    return int(np.prod(graph.Tensors(int(index)).ShapeAsNumpy()))
