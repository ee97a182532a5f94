"""Networks written node by node, with seeded weights, for tests of pruning."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompile.core.model import Model, Provenance
from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.prune.separate_constants import SeparateConstants
from edgecompile.passes.quantize.prepare import preparing_passes

_OPSET = 24


class Net:
    """Adds nodes; every method returns the name of the result."""

    def __init__(self, name: str = "net") -> None:
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, array: Any) -> str:
        """A constant: what is float becomes float32."""
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape: int) -> str:
        """A random constant."""
        fan_in = max(int(np.prod(shape[1:])), 1)
        return self.const(self.random.standard_normal(shape) / np.sqrt(fan_in) + 0.05)

    def op(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Any operator; a tuple of names when it has several `outputs`."""
        name = f"{op_type}{len(self.nodes)}"
        names = [f"{name}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name, **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def conv(
        self, x: str, inputs: int, outputs: int, kernel: int = 1, bias: bool = True, **attributes: Any
    ) -> str:
        """A 2-D convolution; `inputs` are those of a group."""
        parameters = [self.weights(outputs, inputs, kernel, kernel)]
        parameters += [self.weights(outputs)] if bias else []
        result: str = self.op("Conv", x, *parameters, **attributes)
        return result

    def padded(self, x: str, inputs: int, outputs: int, **attributes: Any) -> str:
        """A 3x3 convolution that keeps the size."""
        return self.conv(x, inputs, outputs, 3, pads=[1, 1, 1, 1], **attributes)

    def linear(self, x: str, inputs: int, outputs: int, bias: bool = True) -> str:
        """x @ w + b."""
        product: str = self.op(
            "MatMul", x, self.const(self.random.standard_normal((inputs, outputs)) / inputs**0.5)
        )
        result: str = self.op("Add", product, self.weights(outputs)) if bias else product
        return result

    def reshape(self, x: str, *shape: int) -> str:
        result: str = self.op("Reshape", x, self.const(np.array(shape)))
        return result

    def classify(self, x: str, channels: int) -> str:
        """Global pooling and a classifier."""
        pooled = self.op("Flatten", self.op("GlobalAveragePool", x))
        result: str = self.op("Gemm", pooled, self.weights(5, channels), self.weights(5), transB=1)
        return result

    def model(
        self,
        inputs: Mapping[str, Sequence[int]],
        *outputs: str,
        types: Mapping[str, int] = MappingProxyType({}),
        prepared: bool = False,
    ) -> Model:
        """The canonical network, or the `prepared` one; inputs are float32 but for `types`."""
        given = [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape)
            for name, shape in inputs.items()
        ]
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", given, results, self.constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
        model = Model.from_bytes(proto.SerializeToString(), Provenance("net", "", _OPSET))
        passes = preparing_passes() if prepared else canonicalize_passes()
        return Pipeline((*passes, SeparateConstants())).run(model)[0]
