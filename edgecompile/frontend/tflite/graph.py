"""The ONNX graph under construction.

A TFLite tensor keeps its name and element type: an int8 tensor of the file is an int8 tensor of the graph.
Arithmetic happens on real numbers between DequantizeLinear and QuantizeLinear:

TFLite: y int8 = ADD(a int8, b int8)
ONNX:   y int8 = QuantizeLinear(Add(DequantizeLinear(a), DequantizeLinear(b)))

Operators that only move elements work on the integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.errors import InputError, Problem, UnsupportedError
from edgecompile.frontend.tflite.schema import Array, Network, Quantization, Shape, Tensor

# Real numbers may be stored in these.
QUANTIZED = ("int8", "uint8")


class GraphBuilder:
    """Collects nodes and initializers; `values` holds the ONNX value of every TFLite tensor by its index."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[ir.Node] = []
        self.initializers: list[ir.Value] = []
        self.values: dict[int, ir.Value] = {}
        self.bound: set[ir.Value] = set()
        self.notes: list[str] = []
        self._cache: dict[tuple[object, ...], ir.Value] = {}

    def add_input(self, tensor: Tensor) -> ir.Value:
        """A graph input for `tensor`."""
        type_ = ir.TensorType(ir.DataType.from_numpy(np.dtype(tensor.dtype)))
        value = ir.Value(name=tensor.name, shape=ir.Shape(tensor.shape), type=type_)
        self.bind(tensor, value)
        return value

    def bind(self, tensor: Tensor, value: ir.Value) -> None:
        """From now on `value` is `tensor`."""
        self.values[tensor.index] = value
        self.bound.add(value)

    def constant(self, array: Array, name: str) -> ir.Value:
        """An initializer; equal requests for small ones are merged by later passes."""
        data = ir.tensor(np.asarray(array, order="C"), name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(array.shape), type=ir.TensorType(data.dtype), const_value=data
        )
        self.initializers.append(value)
        return value

    def emit(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        name: str,
        count: int = 1,
    ) -> list[ir.Value]:
        """Append a node; its outputs are named after it."""
        node = ir.node(op_type, list(inputs), dict(attributes), num_outputs=count, name=name)
        for index, value in enumerate(node.outputs):
            value.name = f"{name}/result" + (f"_{index}" if index else "")
        self.nodes.append(node)
        return list(node.outputs)

    def stored(self, index: int, perm: Shape | None = None, where: str = "") -> ir.Value:
        """Tensor `index` as the file stores it, axes permuted by `perm`; a constant is permuted here.

        Raises InputError (EC3164) when nothing has computed the tensor yet.
        """
        tensor = self.network.tensors[index]
        key = ("stored", index, perm)
        if key in self._cache:
            return self._cache[key]
        if tensor.data is not None and index not in self.values:
            array = tensor.data if perm is None else tensor.data.transpose(perm)
            value = self.constant(array, tensor.name)
        elif index not in self.values:
            why = "no input, constant or earlier operator defines it"
            raise InputError(
                Problem("EC3164", f"tensor '{tensor.name}' is read before it is computed", where, why)
            )
        elif perm is None:
            return self.values[index]
        else:
            value = self.emit("Transpose", [self.values[index]], {"perm": perm}, f"{tensor.layer}/Transpose")[
                0
            ]
        self._cache[key] = value
        return value

    def real(self, index: int, perm: Shape | None = None, where: str = "") -> ir.Value:
        """Tensor `index` as real numbers: dequantized if the file quantizes it."""
        tensor = self.network.tensors[index]
        value = self.stored(index, perm, where)
        if tensor.quantization is None:
            return value
        key = ("real", index, perm)
        if key not in self._cache:
            _check_quantized(tensor)
            axis = tensor.quantization.axis if perm is None else perm.index(tensor.quantization.axis)
            self._cache[key] = self.dequantize(value, tensor, tensor.quantization, axis)
        return self._cache[key]

    def dequantize(self, value: ir.Value, tensor: Tensor, quantization: Quantization, axis: int) -> ir.Value:
        """DequantizeLinear of `value`, which holds integers of `tensor`'s type."""
        name = f"{tensor.layer}/DequantizeLinear"
        operands, attributes = self._parameters(tensor, quantization, axis, tensor.dtype != "int32")
        return self.emit("DequantizeLinear", [value, *operands], attributes, name)[0]

    def quantize(self, value: ir.Value, tensor: Tensor) -> ir.Value:
        """QuantizeLinear of `value` to the type and parameters of `tensor`."""
        assert tensor.quantization is not None
        _check_quantized(tensor)
        operands, attributes = self._parameters(tensor, tensor.quantization, tensor.quantization.axis)
        return self.emit("QuantizeLinear", [value, *operands], attributes, f"{tensor.layer}/QuantizeLinear")[
            0
        ]

    def _parameters(
        self, tensor: Tensor, quantization: Quantization, axis: int, zero: bool = True
    ) -> tuple[list[ir.Value], dict[str, int]]:
        single = len(quantization.scale) == 1
        scale = np.array(quantization.scale, np.float32)
        point = np.array(quantization.zero_point, tensor.dtype)
        operands = [self.constant(scale[0] if single else scale, f"{tensor.name}/scale")]
        if zero:
            operands.append(self.constant(point[0] if single else point, f"{tensor.name}/zero_point"))
        return operands, {} if single else {"axis": axis}


def _check_quantized(tensor: Tensor) -> None:
    if tensor.dtype not in QUANTIZED:
        what = f"tensor '{tensor.name}' is quantized to another width than 8 bits"
        why, fix = f"it is {tensor.kind} with a scale", "quantize the network to 8 bits"
        raise UnsupportedError(Problem("EC4144", what, tensor.name, why, fix))
