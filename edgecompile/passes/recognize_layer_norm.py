"""Find LayerNormalization in its decomposition.

before: d = x - ReduceMean(x, last axes); d / Sqrt(ReduceMean(d * d, last axes) + epsilon) * scale + bias
after:  LayerNormalization(x, scale, bias, axis, epsilon)

Scale and bias may be missing. Definition: ONNX operator LayerNormalization (opset 17); J. L. Ba et al.,
"Layer Normalization", 2016.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.matching import is_enclosed, produced_by
from edgecompile.passes.normalization import (
    affine_after,
    match_root_mean_square,
    parameter,
    trailing_axis,
)
from edgecompile.passes.rewriting import become, opset_of, rewrite_nodes

_OPSET = 17


class RecognizeLayerNorm:
    """Replace decomposed layer normalisation over the last axes by the operator."""

    name = "recognize_layer_norm"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "LayerNormalization recognised", _layer_norm)


def _layer_norm(node: ir.Node) -> bool:
    match = match_root_mean_square(node) if opset_of(node) >= _OPSET else None
    x = _centered_source(match.deviation, match.axis) if match else None
    if match is None or x is None or not is_enclosed(match.last.outputs[0], [x]):
        return False
    shape = static_shape(x)
    assert shape is not None
    shape = shape[match.axis :]
    last, scale, bias = match.last, None, None
    multiply = affine_after(last.outputs[0], "Mul", shape)
    if multiply:
        last, scale = multiply
    add = affine_after(last.outputs[0], "Add", shape)
    if add:
        last, bias = add
    inputs = [x, parameter(last, scale, shape, x)]
    if bias is not None:
        inputs.append(parameter(last, bias, shape, x))
    become(last, "LayerNormalization", inputs, {"axis": match.axis, "epsilon": match.epsilon})
    return True


def _centered_source(deviation: ir.Value, axis: int) -> ir.Value | None:
    """x, when `deviation` is x minus its mean over the axes from `axis`."""
    node = produced_by(deviation, "Sub")
    mean = produced_by(node.inputs[1], "ReduceMean") if node else None
    if node is None or mean is None or mean.inputs[0] is not node.inputs[0]:
        return None
    return node.inputs[0] if trailing_axis(mean) == axis else None
