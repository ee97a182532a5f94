"""Take channels of an image by a convolution, for an NPU that only takes neighbours.

before: Slice (channels 1, 3, 5, ...)      after: ConvNhwc of 1x1, with a single weight of 1 for each result
before: Gather (channels 4, 0, 7)                 likewise

Products by one, with a multiplier of one: the very integers. A channel shuffle, as ShuffleNet's, is two of
these.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.integer import DOMAIN, Multiplier, Rounding
from edgecompile.core.model import Model, tensor_info
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import Array, add_initializer, constant_of, static_shape
from edgecompile.passes.rewriting import become, finish, graph_of


class SelectByConvolution:
    """Slice with steps and Gather of the last of four axes of int8 become convolutions."""

    name = "select_by_convolution"
    tolerance = 0.0

    def __init__(self, rounding: Rounding) -> None:
        self.rounding = rounding

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        count = sum(self._replace(node) for node in list(graph) if node.graph is graph)
        return finish(model, count, "selections of channels computed by convolutions")

    def _replace(self, node: ir.Node) -> bool:
        channels, source = _channels(node), node.inputs[0] if node.inputs else None
        if channels is None or source is None or source.dtype != ir.DataType.INT8:
            return False
        info = tensor_info(source)
        if info.zero_point is None or (np.diff(channels) == 1).all():
            return False
        weights = np.zeros((len(channels), info.shape[-1], 1, 1), np.int8)
        weights[np.arange(len(channels)), channels] = 1
        one = Multiplier.of([1.0] * len(channels), self.rounding)
        assert one.shift is not None
        constants: dict[str, Array] = {
            "weights": weights,
            "bias": np.full(len(channels), -info.zero_point, np.int32),
            "multiplier": one.multiplier,
            "shift": one.shift,
        }
        graph, name = graph_of(node), str(node.outputs[0].name)
        given = [add_initializer(graph, f"{name}/{label}", array) for label, array in constants.items()]
        window = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
        ends = {"x_zero": info.zero_point, "y_zero": info.zero_point, "lo": -128, "hi": 127}
        attributes = window | ends | {"group": 1, "rounding": self.rounding}
        become(node, "ConvNhwc", [source, *given], attributes, domain=DOMAIN)
        return True


def _channels(node: ir.Node) -> Array | None:
    """The channels that `node` takes of an image, in order; None when it does something else."""
    shape = static_shape(node.inputs[0]) if node.inputs else None
    if node.domain or shape is None or len(shape) != 4:
        return None
    if node.op_type == "Gather" and node.attributes.get_int("axis", 0) % 4 == 3:
        wanted = constant_of(node.inputs[1])
        return None if wanted is None or wanted.ndim != 1 else wanted % shape[3]
    if node.op_type != "Slice" or len(node.inputs) < 4:
        return None
    numbers = [constant_of(value) for value in node.inputs[1:]]
    if any(array is None or array.size != 1 for array in numbers):
        return None
    begin, end, axis, *steps = (int(array.item()) for array in numbers if array is not None)
    return np.arange(shape[3])[begin : end : steps[0] if steps else 1] if axis % 4 == 3 else None
