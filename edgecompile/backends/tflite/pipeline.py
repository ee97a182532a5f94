"""The graph pipeline of networks that are written as TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompile.core.integer import Rounding
from edgecompile.core.pipeline import Pass
from edgecompile.lower.table import lowered_operators
from edgecompile.passes.affine_by_convolution import AffineByConvolution
from edgecompile.passes.agree_on_products import AgreeOnProducts
from edgecompile.passes.average_by_convolution import AverageByConvolution
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.center_integer_weights import CenterIntegerWeights
from edgecompile.passes.convert_to_integer import ConvertToInteger
from edgecompile.passes.expose_integers import ExposeIntegers
from edgecompile.passes.move_quantization import MoveQuantization
from edgecompile.passes.natural_scales import NaturalScales
from edgecompile.passes.optimize import graph_passes
from edgecompile.passes.rewrite_quantized_operators import RewriteQuantizedOperators
from edgecompile.passes.unify_integer_types import UnifyIntegerTypes

# How TFLite's kernels round: in two steps.
ROUNDING: Rounding = "double"


def tflite_passes(integer_io: bool, uniform: bool = False) -> Sequence[Pass]:
    """The passes in order. What they leave can be computed by TFLite's operators, or is refused.

    `uniform`: FULLY_CONNECTED of a TFLite file as well, which LiteRT rounds in one step.
    """
    return (
        *canonicalize_passes(keep=lowered_operators()),
        RewriteQuantizedOperators(),
        CenterIntegerWeights(),
        *graph_passes("nhwc"),
        MoveQuantization(),
        UnifyIntegerTypes("int8", "int8"),
        # what TFLite has no operator for, in terms of what it has
        NaturalScales(),
        AffineByConvolution(),
        AverageByConvolution(),
        AgreeOnProducts(),
        ConvertToInteger(ROUNDING, uniform),
        *((ExposeIntegers(),) if integer_io else ()),
    )
