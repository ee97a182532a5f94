"""Small TensorFlow Lite files, written operator by operator, and TFLite's own answers for them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite

Array = np.ndarray[Any, Any]
KINDS = {
    "bool": "BOOL",
    "float16": "FLOAT16",
    "float32": "FLOAT32",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
}
needs_tflite = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None,
    reason="ai_edge_litert not found (pip install ai-edge-litert)",
)
# Kernels that TFLite has from a later version on only.
_VERSIONS = {"BROADCAST_TO": 2}


@dataclass
class _Tensor:
    name: str
    shape: Sequence[int]
    kind: str
    data: bytes
    scale: Sequence[float]
    zero_point: Sequence[int]
    axis: int
    signature: Sequence[int]
    variable: bool


@dataclass
class _Operator:
    kind: str
    inputs: list[int]
    outputs: list[int]
    options: str
    fields: dict[str, Any]


@dataclass
class TFLiteFile:
    """Tensors and operators by name; `build` gives the bytes of the file."""

    tensors: list[_Tensor] = field(default_factory=list)
    operators: list[_Operator] = field(default_factory=list)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        kind: str = "FLOAT32",
        scale: float | Sequence[float] = (),
        zero_point: int | Sequence[int] = (),
        axis: int = 0,
        signature: Sequence[int] = (),
        variable: bool = False,
        data: bytes = b"",
    ) -> str:
        """A tensor without a value (or with the bytes `data`), quantized when it has a scale."""
        scales = [scale] if isinstance(scale, float) else list(scale)
        points = [zero_point] if isinstance(zero_point, int) else list(zero_point)
        self.tensors.append(_Tensor(name, shape, kind, data, scales, points, axis, signature, variable))
        return name

    def constant(
        self, name: str, values: Any, dtype: str = "int32", scale: float | Sequence[float] = (), axis: int = 0
    ) -> str:
        """A constant tensor; with a scale its zero point is 0."""
        array = np.asarray(values, dtype)
        return self.tensor(
            name,
            array.shape,
            KINDS[dtype],
            scale,
            0 if isinstance(scale, float) else [0] * len(scale),
            axis,
            data=array.tobytes(),
        )

    def op(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[str], options: str = "", **fields: Any
    ) -> None:
        """An operator; "" is an absent input; `fields` of the options table are named as in the schema."""
        index = {tensor.name: position for position, tensor in enumerate(self.tensors)} | {"": -1}
        indices = [index[name] for name in inputs], [index[name] for name in outputs]
        self.operators.append(_Operator(kind, *indices, options, fields))

    def build(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """The file's bytes."""
        names = [tensor.name for tensor in self.tensors]
        index = {name: names.index(name) for name in names}
        return _Writer(self).write([index[name] for name in inputs], [index[name] for name in outputs])


class _Writer:
    def __init__(self, file: TFLiteFile) -> None:
        self._file = file
        self._builder: Any = flatbuffers.Builder(1024)

    def write(self, inputs: list[int], outputs: list[int]) -> bytes:
        kinds = list(dict.fromkeys(operator.kind for operator in self._file.operators))
        buffers = [self._buffer(b""), *(self._buffer(tensor.data) for tensor in self._file.tensors)]
        tensors = [self._tensor(tensor, i + 1) for i, tensor in enumerate(self._file.tensors)]
        operators = [self._operator(operator, kinds) for operator in self._file.operators]
        graph = self._table(
            "SubGraph",
            Tensors=self._tables(tensors),
            Inputs=self._numbers(inputs, np.int32),
            Outputs=self._numbers(outputs, np.int32),
            Operators=self._tables(operators),
            Name=self._builder.CreateString("main"),
        )
        model = self._table(
            "Model",
            Version=3,
            OperatorCodes=self._tables([self._code(kind) for kind in kinds]),
            Subgraphs=self._tables([graph]),
            Description=self._builder.CreateString("test"),
            Buffers=self._tables(buffers),
        )
        self._builder.Finish(model, file_identifier=b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, kind: str, **fields: Any) -> Any:
        getattr(tflite, f"{kind}Start")(self._builder)
        for name, value in fields.items():
            if value is not None:
                getattr(tflite, f"{kind}Add{name}")(self._builder, value)
        return getattr(tflite, f"{kind}End")(self._builder)

    def _numbers(self, values: Sequence[float], dtype: Any) -> Any:
        return self._builder.CreateNumpyVector(np.array(values, dtype))

    def _tables(self, offsets: list[Any]) -> Any:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return self._builder.EndVector()

    def _buffer(self, data: bytes) -> Any:
        if not data:
            return self._table("Buffer")
        self._builder.StartVector(1, len(data), 16)
        self._builder.head -= len(data)
        self._builder.Bytes[self._builder.head : self._builder.head + len(data)] = data
        return self._table("Buffer", Data=self._builder.EndVector())

    def _tensor(self, tensor: _Tensor, buffer: int) -> Any:
        quantization = None
        if tensor.scale:
            quantization = self._table(
                "QuantizationParameters",
                Scale=self._numbers(tensor.scale, np.float32),
                ZeroPoint=self._numbers(tensor.zero_point, np.int64),
                QuantizedDimension=tensor.axis,
            )
        return self._table(
            "Tensor",
            Shape=self._numbers(tensor.shape, np.int32),
            Type=getattr(tflite.TensorType, tensor.kind),
            Buffer=buffer,
            Name=self._builder.CreateString(tensor.name),
            Quantization=quantization,
            IsVariable=tensor.variable,
            ShapeSignature=self._numbers(tensor.signature, np.int32) if tensor.signature else None,
        )

    def _code(self, kind: str) -> Any:
        number = getattr(tflite.BuiltinOperator, kind, None)
        custom = None if number is not None else self._builder.CreateString(kind)
        code = tflite.BuiltinOperator.CUSTOM if number is None else number
        return self._table(
            "OperatorCode",
            DeprecatedBuiltinCode=min(code, 127),
            BuiltinCode=code,
            CustomCode=custom,
            Version=_VERSIONS.get(kind, 1),
        )

    def _operator(self, operator: _Operator, kinds: list[str]) -> Any:
        options, number = None, None
        if operator.options:
            fields = {
                name: self._numbers(value, np.int32) if isinstance(value, list) else value
                for name, value in operator.fields.items()
            }
            options = self._table(operator.options, **fields)
            number = getattr(tflite.BuiltinOptions, operator.options)
        return self._table(
            "Operator",
            OpcodeIndex=kinds.index(operator.kind),
            Inputs=self._numbers(operator.inputs, np.int32),
            Outputs=self._numbers(operator.outputs, np.int32),
            BuiltinOptionsType=number,
            BuiltinOptions=options,
        )


def reference(data: bytes, optimized: bool = False) -> Callable[..., list[Array]]:
    """TFLite's reference kernels on the file `data`: inputs in the file's order → outputs.

    A few operators have no reference kernel; files with one are run by the only kernels there are, and so is
    everything with `optimized`.
    """
    from ai_edge_litert.interpreter import OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if optimized else OpResolverType.BUILTIN_REF
    try:
        interpreter = _interpreter(data, kernels)
    except ValueError:
        interpreter = _interpreter(data, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def run(*arrays: Array) -> list[Array]:
        interpreter.reset_all_variables()
        for detail, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in outputs]

    return run


def _interpreter(data: bytes, kernels: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_content=data, experimental_op_resolver_type=kernels, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
