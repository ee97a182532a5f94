"""Write the content of a TensorFlow Lite file: the inverse of `frontend.tflite.schema.read_network`.

The file is a FlatBuffer (schema: tensorflow/lite/schema/schema.fbs, package `tflite`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

from edgecompile.frontend.tflite.schema import IDENTIFIER, Network, Operator, Quantization, Tensor

# The options table of each operator that has one, and the least version of its kernel that has per-channel
# weights or int8 tensors.
FORMS: dict[str, tuple[str, int]] = {
    "ADD": ("AddOptions", 2),
    "AVERAGE_POOL_2D": ("Pool2DOptions", 2),
    "BATCH_MATMUL": ("BatchMatMulOptions", 2),
    "CONCATENATION": ("ConcatenationOptions", 2),
    "CONV_2D": ("Conv2DOptions", 3),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", 3),
    "DEQUANTIZE": ("", 2),
    "FULLY_CONNECTED": ("FullyConnectedOptions", 4),
    "GELU": ("GeluOptions", 2),
    "LEAKY_RELU": ("LeakyReluOptions", 2),
    "LOGISTIC": ("", 2),
    "MAXIMUM": ("", 2),
    "MAX_POOL_2D": ("Pool2DOptions", 2),
    "MINIMUM": ("", 2),
    "MUL": ("MulOptions", 2),
    "PAD": ("", 2),
    "PADV2": ("", 2),
    "QUANTIZE": ("", 2),
    "REDUCE_MAX": ("ReducerOptions", 2),
    "REDUCE_MIN": ("ReducerOptions", 2),
    "RELU": ("", 2),
    "RELU6": ("", 2),
    "RESHAPE": ("ReshapeOptions", 1),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", 3),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", 3),
    "SLICE": ("", 2),
    "SOFTMAX": ("SoftmaxOptions", 2),
    "STRIDED_SLICE": ("StridedSliceOptions", 2),
    "SUB": ("SubOptions", 2),
    "TANH": ("", 2),
    "TRANSPOSE": ("", 2),
}
_PLAIN = ("", 1)
_ALIGNMENT = 16


def write_network(network: Network) -> bytes:
    """The bytes of a file that holds `network`; options are named as the reader names them ("StrideW")."""
    return _Writer().write(network)


class _Writer:
    def __init__(self) -> None:
        self._builder: Any = flatbuffers.Builder(1 << 16)

    def write(self, network: Network) -> bytes:
        kinds = list(dict.fromkeys(operator.name for operator in network.operators))
        # Buffer 0 is the empty one of all tensors without data.
        constants = [tensor for tensor in network.tensors if tensor.data is not None]
        buffers = [self._table("Buffer"), *(self._buffer(tensor) for tensor in constants)]
        places = {tensor.index: place for place, tensor in enumerate(constants, 1)}
        graph = self._table(
            "SubGraph",
            Tensors=self._tables([self._tensor(t, places.get(t.index, 0)) for t in network.tensors]),
            Inputs=self._numbers(network.inputs, np.int32),
            Outputs=self._numbers(network.outputs, np.int32),
            Operators=self._tables([self._operator(op, kinds) for op in network.operators]),
            Name=self._builder.CreateString("main"),
        )
        model = self._table(
            "Model",
            Version=3,
            OperatorCodes=self._tables([self._code(kind) for kind in kinds]),
            Subgraphs=self._tables([graph]),
            Description=self._builder.CreateString(network.description),
            Buffers=self._tables(buffers),
        )
        self._builder.Finish(model, file_identifier=IDENTIFIER)
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

    def _buffer(self, tensor: Tensor) -> Any:
        assert tensor.data is not None
        data = tensor.data.astype(tensor.data.dtype.newbyteorder("<"), copy=False).tobytes()
        builder = self._builder
        builder.StartVector(1, len(data), _ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        return self._table("Buffer", Data=builder.EndVector())

    def _tensor(self, tensor: Tensor, buffer: int) -> Any:
        return self._table(
            "Tensor",
            Shape=self._numbers(tensor.shape, np.int32),
            Type=getattr(tflite.TensorType, tensor.kind),
            Buffer=buffer,
            Name=self._builder.CreateString(tensor.name),
            Quantization=self._quantization(tensor.quantization),
            HasRank=True,
        )

    def _quantization(self, quantization: Quantization | None) -> Any:
        if quantization is None:
            return None
        return self._table(
            "QuantizationParameters",
            Scale=self._numbers(quantization.scale, np.float32),
            ZeroPoint=self._numbers(quantization.zero_point, np.int64),
            QuantizedDimension=quantization.axis,
        )

    def _code(self, kind: str) -> Any:
        number = getattr(tflite.BuiltinOperator, kind)
        # Old readers know the byte only, in which 127 says that the number is beside it.
        byte = min(number, tflite.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
        version = FORMS.get(kind, _PLAIN)[1]
        return self._table("OperatorCode", DeprecatedBuiltinCode=byte, BuiltinCode=number, Version=version)

    def _operator(self, operator: Operator, kinds: list[str]) -> Any:
        form, options, number = FORMS.get(operator.name, _PLAIN)[0], None, None
        if form:
            fields = {
                name: self._numbers(value, np.int32) if isinstance(value, tuple) else value
                for name, value in operator.options.items()
            }
            options, number = self._table(form, **fields), getattr(tflite.BuiltinOptions, form)
        return self._table(
            "Operator",
            OpcodeIndex=kinds.index(operator.name),
            Inputs=self._numbers(operator.inputs, np.int32),
            Outputs=self._numbers(operator.outputs, np.int32),
            BuiltinOptionsType=number,
            BuiltinOptions=options,
        )
