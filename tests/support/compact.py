"""Networks whose weights are stored in fewer bits than they are computed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgecompile.passes.prove import FLOAT_SUMS

Array = np.ndarray[Any, Any]

OPSET = 21


class CompactGraph:
    """Builds a graph of float operators that read constants of 4 bits, of float16, and of float32."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Array) -> str:
        """The name of a constant with these values."""
        return self._add(numpy_helper.from_array(array))

    def normal(self, *shape: int) -> Array:
        return self.random.standard_normal(shape, np.float32)

    def half(self, array: Array) -> str:
        """Values in float16, cast to float32."""
        return self.node("Cast", [self.constant(array.astype(np.float16))], to=TensorProto.FLOAT)

    def nibbles(
        self, *shape: int, block: int, axis: int = 0, dtype: str = "int4", zeros: bool = False
    ) -> str:
        """Random integers of 4 bits, with a scale for each `block` along `axis`."""
        low, high = (-8, 8) if dtype == "int4" else (0, 16)
        blocks = tuple(-(-extent // block) if i == axis else extent for i, extent in enumerate(shape))
        scales = self.random.uniform(0.02, 0.1, blocks).astype(np.float32)
        inputs = [self._nibbles(self.random.integers(low, high, shape), dtype), self.constant(scales)]
        if zeros:
            inputs.append(self._nibbles(self.random.integers(low, high, blocks), dtype))
        return self.node("DequantizeLinear", inputs, axis=axis, block_size=block)

    def channels(self, *shape: int, axis: int) -> str:
        """Random integers of 4 bits, with a scale for each slice of `axis`."""
        scales = self.random.uniform(0.02, 0.1, shape[axis]).astype(np.float32)
        inputs = [self._nibbles(self.random.integers(-8, 8, shape), "int4"), self.constant(scales)]
        return self.node("DequantizeLinear", inputs, axis=axis)

    def node(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"y{len(self.nodes)}"
        label = f"{op_type}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], label, **attributes))
        return name

    def model(self, inputs: Mapping[str, Array], output: str) -> onnx.ModelProto:
        """The network; `inputs` are what its inputs are like."""
        described = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), list(a.shape))
            for name, a in inputs.items()
        ]
        result = [onnx.ValueInfoProto(name=output)]
        graph = helper.make_graph(self.nodes, "compact", described, result, self.constants)
        message = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        return onnx.shape_inference.infer_shapes(message)

    def _nibbles(self, integers: Array, dtype: str) -> str:
        stored = ir.tensor(integers.astype(dtype.removesuffix("4") + "8"), dtype=ir.DataType[dtype.upper()])
        return self._add(ir.to_proto(stored))

    def _add(self, tensor: onnx.TensorProto) -> str:
        tensor.name = f"c{len(self.constants)}"
        self.constants.append(tensor)
        return tensor.name


def expected(message: onnx.ModelProto, feeds: Mapping[str, Array]) -> Array:
    """The one output by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*FLOAT_SUMS)
    session = onnxruntime.InferenceSession(message.SerializeToString(), options)
    return np.asarray(session.run(None, dict(feeds))[0])
