"""Quantized networks: written by hand with QuantizeLinear and DequantizeLinear, or made by onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgecompile.backends.pipeline import optimize
from edgecompile.core.integer import Rounding
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import find_target
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.prove import generate_inputs

Array = np.ndarray[Any, Any]

OPSET = 21
# A target for each type of activations; the code of either runs on this machine.
TARGET_OF = {"int8": "cortex-a72", "uint8": "host", "int16": "host"}


def parameters(array: Array, dtype: str = "int8") -> tuple[np.float32, Array]:
    """Scale and zero point with which `dtype` covers `array` and 0; int16 does it with zero point 0."""
    limits = np.iinfo(dtype)
    if dtype == "int16":
        return np.float32(np.abs(array).max() / limits.max or 1.0), np.asarray(0, dtype)
    low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
    scale = np.float32((high - low) / 255 or 1.0)
    return scale, np.asarray(np.clip(np.rint(limits.min - low / scale), limits.min, limits.max), dtype)


class QuantizedGraph:
    """Builds a graph in which every activation goes through QuantizeLinear and DequantizeLinear.

    Values are computed on the way by onnxruntime's float operators, and say how they are to be quantized.
    """

    def __init__(self, dtype: str = "int8") -> None:
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.values: dict[str, Array] = {}

    def constant(self, array: Array | np.generic) -> str:
        """The name of a constant with these values."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        self.values[name] = np.asarray(array)
        return name

    def input(self, array: Array) -> str:
        """The name of an input of the network, after quantization; `array` is what it is like."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(array.shape)))
        self.values[name] = array
        return self.quantized(name)

    def quantized(self, name: str, like: Array | None = None) -> str:
        """`name` after QuantizeLinear and DequantizeLinear that fit its values, or those of `like`."""
        scale, zero = parameters(self.values[name] if like is None else like, self.dtype)
        factors = [self.constant(np.asarray(scale)), self.constant(zero)]
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *factors], [f"{name}_q"], f"{name}/q"))
        self.nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_q", *factors], [f"{name}_r"], f"{name}/r")
        )
        self.values[f"{name}_r"] = self.values[name]
        return f"{name}_r"

    def weights(self, array: Array, axis: int | None = 0) -> str:
        """Constant weights as int8 with a scale for each slice of `axis`, or one for all."""
        others = tuple(i for i in range(array.ndim) if i != axis)
        greatest = np.abs(array).max() if axis is None else np.abs(array).max(others, keepdims=True)
        scale = np.asarray(greatest / 127, np.float32)
        integers = np.clip(np.rint(array / scale), -127, 127).astype(np.int8)
        factors = [self.constant(integers), self.constant(scale.reshape(-1 if axis is not None else ()))]
        name = f"{factors[0]}_r"
        attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
        self.nodes.append(helper.make_node("DequantizeLinear", factors, [name], f"{name}/w", **attributes))
        self.values[name] = (integers * scale).astype(np.float32)
        return name

    def node(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A float operator, named after its type."""
        name = f"y{len(self.nodes)}"
        node = helper.make_node(op_type, list(inputs), [name], f"{op_type}{len(self.nodes)}", **attributes)
        self.nodes.append(node)
        given = {i: self.values[i] for i in inputs if i}
        described = [
            helper.make_tensor_value_info(i, helper.np_dtype_to_tensor_dtype(a.dtype), list(a.shape))
            for i, a in given.items()
        ]
        graph = helper.make_graph([node], "one", described, [onnx.ValueInfoProto(name=name)])
        self.values[name] = _execute(_message(graph), given)[0]
        return name

    def model(self, *outputs: str) -> Model:
        """The network with these outputs, every tensor with its type."""
        described = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(self.values[name].shape))
            for name in outputs
        ]
        graph = helper.make_graph(self.nodes, "quantized", self.inputs, described, self.constants)
        message = _message(graph)
        onnx.checker.check_model(message, full_check=True)
        return FoldConstants()(as_model(message)).model


def one_operator(
    op_type: str,
    inputs: Sequence[Array],
    dtype: str = "int8",
    weights: Mapping[int, int | None] | None = None,
    constants: Sequence[int] = (),
    activation: str = "",
    **attributes: Any,
) -> Model:
    """One operator; `weights` maps inputs to the axis of their scales, inputs in `constants` stay float."""
    graph = QuantizedGraph(dtype)
    names = []
    for index, array in enumerate(inputs):
        if index in (weights or {}):
            names.append(graph.weights(array, (weights or {})[index]))
        elif index in constants:
            names.append(graph.constant(array))
        else:
            names.append(graph.input(array))
    result = graph.node(op_type, names, **attributes)
    if activation:
        result = graph.node(activation, [result])
    return graph.model(graph.quantized(result))


def converted(model: Model, rounding: Rounding, dtype: str = "int8", integer_io: bool = False) -> Model:
    """`model` after all passes for a target whose activations are `dtype`."""
    target = find_target(TARGET_OF[dtype])
    return optimize(model.copy(), target, rounding=rounding, integer_io=integer_io)[0]


def quantize(model: onnx.ModelProto, dtype: str = "int8", per_channel: bool = True) -> onnx.ModelProto:
    """A float model with one float input, quantized by onnxruntime on seeded noise."""
    from onnxruntime import quantization

    kinds = {"int8": quantization.QuantType.QInt8, "uint8": quantization.QuantType.QUInt8}
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as folder:
        source, prepared, result = (Path(folder) / f"{name}.onnx" for name in ("float", "clean", "int8"))
        onnx.save(model, source)
        quantization.shape_inference.quant_pre_process(source, prepared)
        quantization.quantize_static(
            prepared,
            result,
            _Noise(model),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=kinds[dtype],
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(result)


def as_model(message: onnx.ModelProto) -> Model:
    """`message` as a Model."""
    return Model(ir.from_proto(message), Provenance("test", "", OPSET))


class _Noise:
    """What onnxruntime's calibration reads: a few samples of seeded noise."""

    def __init__(self, message: onnx.ModelProto) -> None:
        infos = as_model(message).inputs
        self._samples = iter([generate_inputs(infos, seed) for seed in range(6)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)


def _message(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _execute(message: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(message.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, dict(feeds))]
