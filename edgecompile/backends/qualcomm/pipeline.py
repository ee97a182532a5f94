"""The graph pipeline of networks for Qualcomm's HTP: standard ONNX operators between QDQ nodes."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompile.backends.qualcomm.constraints import TABLE, computes_floats
from edgecompile.backends.qualcomm.dense import DenseLayers, QuantizeBiases, RealNormalizations
from edgecompile.backends.qualcomm.node_units import AbsorbClamps, MoveRealNumbers
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass, PassResult
from edgecompile.passes.cancel_transposes import CancelTransposes
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.explicit_padding import ExplicitPadding
from edgecompile.passes.fold_batch_norm import FoldBatchNorm
from edgecompile.passes.fold_transposes import FoldTransposes
from edgecompile.passes.fuse_gemm import FuseGemm
from edgecompile.passes.fuse_pad import FusePad
from edgecompile.passes.move_quantization import MoveQuantization
from edgecompile.passes.normalize_arithmetic import NormalizeArithmetic
from edgecompile.passes.normalize_clip import NormalizeClip
from edgecompile.passes.normalize_pooling import NormalizePooling
from edgecompile.passes.recognize_gelu import RecognizeGelu
from edgecompile.passes.recognize_hard_swish import RecognizeHardSwish
from edgecompile.passes.recognize_layer_norm import RecognizeLayerNorm
from edgecompile.passes.recognize_slice import RecognizeSlice
from edgecompile.passes.rewrite_quantized_operators import RewriteQuantizedOperators
from edgecompile.passes.rewrite_reshape import RewriteReshape
from edgecompile.passes.unify_integer_types import UnifyIntegerTypes


class NameFloats:
    """Changes nothing; a note names each operator that the HTP computes in 16-bit floats."""

    name = "name_floats"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return PassResult(model, False, tuple(
            f"{node.name or node.op_type} ({node.op_type}) is computed in 16-bit floats: it is not quantized"
            for node in model.graph.graph
            if computes_floats(node)
        ))  # fmt: skip


def htp_passes() -> Sequence[Pass]:
    """The passes in order. What they leave is what Qualcomm's compiler reads."""
    return (
        *canonicalize_passes(keep=[("", name) for name in TABLE.operators]),
        RewriteQuantizedOperators(),
        # one spelling for what exporters spell in many ways
        RewriteReshape(),
        RecognizeSlice(),
        RewriteReshape(),
        NormalizeArithmetic(),
        NormalizeClip(),
        ExplicitPadding(),
        RecognizeGelu(),
        RecognizeHardSwish(),
        RecognizeLayerNorm(),
        NormalizePooling(),
        # constants into weights
        FusePad(),
        FuseGemm(),
        FoldBatchNorm(),
        CancelTransposes(),
        FoldTransposes(),
        RewriteReshape(),
        # what is quantized, as the compiler reads it
        DenseLayers(),
        QuantizeBiases(),
        RealNormalizations(),
        AbsorbClamps(),
        MoveQuantization(),
        UnifyIntegerTypes("uint8", "uint8"),
        MoveRealNumbers(),
        NameFloats(),
    )
