"""Find RMSNormalization in its decomposition.

before: x / Sqrt(ReduceMean(x * x, last axes) + epsilon) * scale
after:  RMSNormalization(x, scale, axis, epsilon)

Scale may be missing. Runs after recognize_layer_norm, which has the more specific pattern. Definition: ONNX
operator RMSNormalization (opset 23); B. Zhang, R. Sennrich, "Root Mean Square Layer Normalization", 2019.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.matching import is_enclosed
from edgecompile.passes.normalization import affine_after, match_root_mean_square, parameter
from edgecompile.passes.rewriting import become, opset_of, rewrite_nodes

_OPSET = 23


class RecognizeRmsNorm:
    """Replace decomposed root-mean-square normalisation over the last axes by the operator."""

    name = "recognize_rms_norm"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "RMSNormalization recognised", _rms_norm)


def _rms_norm(node: ir.Node) -> bool:
    match = match_root_mean_square(node) if opset_of(node) >= _OPSET else None
    if match is None or not is_enclosed(match.last.outputs[0], [match.deviation]):
        return False
    x, last = match.deviation, match.last
    shape = static_shape(x)
    assert shape is not None
    shape = shape[match.axis :]
    multiply = affine_after(last.outputs[0], "Mul", shape)
    scale = None
    if multiply:
        last, scale = multiply
    constant = parameter(last, scale, shape, x)
    become(last, "RMSNormalization", [x, constant], {"axis": match.axis, "epsilon": match.epsilon})
    return True
