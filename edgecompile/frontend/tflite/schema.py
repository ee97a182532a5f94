"""The content of a TensorFlow Lite file as plain data, checked while it is read.

The file is a FlatBuffer (schema: tensorflow/lite/schema/schema.fbs, package `tflite`). Its offsets are not
trusted: Python's accessors check every access, `read_network` bounds what they cannot know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np
import tflite

from edgecompile.errors import EdgeCompileError, InputError, Problem, UnsupportedError
from edgecompile.frontend.limits import MAX_NODES, MAX_RANK, MAX_TENSOR_ELEMENTS

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

IDENTIFIER = b"TFL3"
_EXPORT_AGAIN = "copy or convert it again"
# Element types with a numpy and an ONNX form. INT4 constants are unpacked to int8.
_DTYPES = {
    "BOOL": "bool",
    "FLOAT16": "float16",
    "FLOAT32": "float32",
    "FLOAT64": "float64",
    "INT4": "int8",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
}


@dataclass(frozen=True)
class Quantization:
    """real = scale · (integer - zero_point), float32; one entry, or one for each index along `axis`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of the file; `kind` is TFLite's name of the element type, `dtype` numpy's ("" if none).

    A dimension of -1 is unknown until run time. `free` are the dimensions that the caller may resize. `data`
    is there for constants. A `variable` keeps its value between runs.
    """

    index: int
    name: str
    shape: Shape
    kind: str
    dtype: str
    free: Shape = ()
    data: Array | None = None
    quantization: Quantization | None = None
    variable: bool = False

    @property
    def layer(self) -> str:
        """The layer that computes the tensor; of several that the converter has fused, the innermost."""
        innermost = self.name.rpartition(";")[2].replace("/ReadVariableOp", "").replace("/resource", "")
        return innermost or self.name


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: `inputs` and `outputs` are tensor indices, -1 where an optional input is absent."""

    name: str
    inputs: Shape
    outputs: Shape
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Network:
    """The main subgraph, operators in order of execution."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: Shape
    outputs: Shape
    description: str = ""


def read_network(data: bytes, name: str) -> Network:
    """Read the main subgraph of a file that messages call `name`.

    Raises InputError: EC3161 not a TensorFlow Lite file, EC3162 damaged, EC3121 impossible sizes, EC3122
    constants that do not fit their shape, EC3163 impossible quantization; UnsupportedError EC4144 for sparse
    constants.
    """
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        why = f"it has no identifier '{IDENTIFIER.decode()}'; it is truncated or another kind of file"
        problem = Problem(
            "EC3161", f"'{name}' is not a TensorFlow Lite model", "", why, "give the .tflite file"
        )
        raise InputError(problem)
    try:
        return _Reader(data).network()
    except (EdgeCompileError, MemoryError):
        raise
    except Exception as error:  # what the accessors raise on offsets and lengths that lead out of the file
        why = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        raise InputError(_damaged(why, f"'{name}'")) from None


def _damaged(why: str, what: str = "the file") -> Problem:
    return Problem("EC3162", f"{what} is truncated or damaged", "", why, _EXPORT_AGAIN)


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


_KINDS = _names(tflite.TensorType)
_OPERATORS = _names(tflite.BuiltinOperator)
_OPTIONS = _names(tflite.BuiltinOptions)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._model: Any = tflite.Model.GetRootAs(data, 0)

    def network(self) -> Network:
        if not self._count(self._model.SubgraphsLength()):
            raise InputError(Problem("EC3162", "the file holds no graph", "", "", _EXPORT_AGAIN))
        graph = self._model.Subgraphs(0)
        tensors = tuple(self._tensor(graph.Tensors(i), i) for i in range(self._count(graph.TensorsLength())))
        return Network(
            tensors,
            tuple(self._operator(graph.Operators(i)) for i in range(self._count(graph.OperatorsLength()))),
            _integers(graph.InputsAsNumpy()),
            _integers(graph.OutputsAsNumpy()),
            (self._model.Description() or b"").decode("utf-8", "replace"),
        )

    def _count(self, count: int) -> int:
        """The length of a vector of tables, each of which takes an offset of four bytes."""
        if count > min(MAX_NODES, len(self._data) // 4):
            raise InputError(_damaged(f"a list claims {count} entries"))
        return count

    def _operator(self, operator: Any) -> Operator:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Old files have the code in a byte, new ones in an integer beside it.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _OPERATORS.get(number, f"number {number}")
        if name == "CUSTOM":
            name = (code.CustomCode() or b"CUSTOM").decode("utf-8", "replace")
        return Operator(
            name,
            _integers(operator.InputsAsNumpy()),
            _integers(operator.OutputsAsNumpy()),
            _options(operator.BuiltinOptionsType(), operator.BuiltinOptions()),
        )

    def _tensor(self, tensor: Any, index: int) -> Tensor:
        name = (tensor.Name() or b"").decode("utf-8", "replace") or f"tensor_{index}"
        shape = _shape(_integers(tensor.ShapeAsNumpy()), name)
        signature = _integers(tensor.ShapeSignatureAsNumpy())
        kind = _KINDS.get(tensor.Type(), str(tensor.Type()))
        return Tensor(
            index,
            name,
            shape,
            kind,
            _DTYPES.get(kind, ""),
            tuple(axis for axis, size in enumerate(signature[: len(shape)]) if size < 0),
            self._constant(tensor, name, shape, kind),
            _quantization(tensor.Quantization(), kind, name, shape),
            bool(tensor.IsVariable()),
        )

    def _constant(self, tensor: Any, name: str, shape: Shape, kind: str) -> Array | None:
        if tensor.Sparsity() is not None:
            fix = "convert the network without sparse storage"
            raise UnsupportedError(Problem("EC4144", "sparse constants are not supported", name, "", fix))
        buffer = self._model.Buffers(tensor.Buffer())
        # Files over 2 GB keep the data behind the FlatBuffer.
        start, size = buffer.Offset(), buffer.Size()
        raw = np.frombuffer(self._data, np.uint8)[start : start + size] if start > 1 else buffer.DataAsNumpy()
        if not isinstance(raw, np.ndarray) or not raw.size or kind not in _DTYPES:
            return None
        elements, dtype = math.prod(shape), np.dtype(_DTYPES[kind]).newbyteorder("<")
        needed = (elements + 1) // 2 if kind == "INT4" else elements * dtype.itemsize
        if raw.size != needed or elements < 0:
            why = f"{raw.size} bytes for {list(shape)} of {kind}, which takes {needed}"
            raise InputError(Problem("EC3122", f"the data of constant '{name}' is damaged", name, why))
        values = _unpack(raw)[:elements] if kind == "INT4" else raw.view(dtype)
        return values.reshape(shape)


def _unpack(raw: Array) -> Array:
    """Two signed numbers of four bits a byte, the lower half first."""
    halves = np.stack([raw << 4, raw & 0xF0], axis=-1).view(np.int8)
    return (halves >> 4).ravel()


def _integers(vector: Any) -> Shape:
    """A vector as a tuple; the accessors give 0 for one that is absent."""
    return tuple(vector.tolist()) if isinstance(vector, np.ndarray) else ()


def _shape(dims: Shape, name: str) -> Shape:
    if len(dims) > MAX_RANK or any(dim < -1 for dim in dims):
        why = f"its dimensions are {list(dims[: MAX_RANK + 1])}"
        raise InputError(Problem("EC3121", f"tensor '{name}' has impossible dimensions", name, why))
    if math.prod(abs(dim) for dim in dims) > MAX_TENSOR_ELEMENTS:
        why = f"{list(dims)}; at most {MAX_TENSOR_ELEMENTS} elements can be addressed"
        raise InputError(Problem("EC3121", f"tensor '{name}' is too large", name, why))
    return dims


def _quantization(parameters: Any, kind: str, name: str, shape: Shape) -> Quantization | None:
    """The parameters of a quantized tensor; None for plain numbers."""
    if parameters is None or not _DTYPES.get(kind, "").startswith(("int", "uint")):
        return None
    scale = _integers(parameters.ScaleAsNumpy())
    if not scale:
        return None
    zero_point = _integers(parameters.ZeroPointAsNumpy()) or (0,) * len(scale)
    if len(zero_point) == 1:
        zero_point *= len(scale)
    axis = parameters.QuantizedDimension() if len(scale) > 1 else 0
    range_ = np.iinfo(_DTYPES[kind])
    why = ""
    if not all(math.isfinite(number) and number > 0 for number in scale):
        why = "a scale is not a positive number"
    elif len(zero_point) != len(scale):
        why = f"{len(scale)} scales, {len(zero_point)} zero points"
    elif not all(range_.min <= point <= range_.max for point in zero_point):
        why = f"a zero point does not fit {kind}"
    elif len(scale) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scale)):
        why = f"{len(scale)} scales along axis {axis} of {list(shape)}"
    if why:
        raise InputError(Problem("EC3163", f"the quantization of '{name}' is impossible", name, why))
    return Quantization(scale, zero_point, axis)


def _options(kind: int, table: Any) -> dict[str, Any]:
    """All fields of an options table by the accessors' names ("StrideW"), vectors as tuples."""
    accessors: type | None = getattr(tflite, _OPTIONS.get(kind, ""), None)
    if accessors is None or table is None:
        return {}
    reader = accessors()
    reader.Init(table.Bytes, table.Pos)
    getters = {
        name: f.__code__.co_argcount for name, f in vars(accessors).items() if isinstance(f, FunctionType)
    }
    vectors = {name for name, arguments in getters.items() if arguments == 2}
    derived = {f"{name}{part}" for name in vectors for part in ("AsNumpy", "Length", "IsNone")}
    fields = {
        name: getattr(reader, name)() for name, count in getters.items() if count == 1 and name not in derived
    }
    return fields | {name: _integers(getattr(reader, f"{name}AsNumpy")()) for name in vectors}
