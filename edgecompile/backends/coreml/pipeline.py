"""The graph pipeline of networks that are written for Core ML."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompile.backends.coreml.constraints import TABLE
from edgecompile.core.pipeline import Pass
from edgecompile.passes.cancel_transposes import CancelTransposes
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.eliminate_dead_code import EliminateDeadCode
from edgecompile.passes.explicit_padding import ExplicitPadding
from edgecompile.passes.fold_batch_norm import FoldBatchNorm
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.fold_transposes import FoldTransposes
from edgecompile.passes.fuse_gemm import FuseGemm
from edgecompile.passes.fuse_pad import FusePad
from edgecompile.passes.normalize_arithmetic import NormalizeArithmetic
from edgecompile.passes.normalize_clip import NormalizeClip
from edgecompile.passes.normalize_pooling import NormalizePooling
from edgecompile.passes.recognize_gelu import RecognizeGelu
from edgecompile.passes.recognize_hard_swish import RecognizeHardSwish
from edgecompile.passes.recognize_layer_norm import RecognizeLayerNorm
from edgecompile.passes.recognize_silu import RecognizeSilu
from edgecompile.passes.recognize_slice import RecognizeSlice
from edgecompile.passes.rewrite_quantized_operators import RewriteQuantizedOperators
from edgecompile.passes.rewrite_reshape import RewriteReshape


def coreml_passes() -> Sequence[Pass]:
    """The passes in order. Operators stay plain ONNX on channels-first data, which is how MIL has them."""
    return (
        *canonicalize_passes(keep=frozenset(("", name) for name in TABLE.operators)),
        RewriteQuantizedOperators(),
        RewriteReshape(),
        RecognizeSlice(),
        NormalizeArithmetic(),
        NormalizeClip(),
        ExplicitPadding(),
        # operators that MIL has, found in their decompositions
        RecognizeGelu(),
        RecognizeSilu(),
        RecognizeHardSwish(),
        RecognizeLayerNorm(),
        NormalizePooling(),
        # constants into weights
        FusePad(),
        FuseGemm(),
        FoldBatchNorm(),
        # less movement
        CancelTransposes(),
        FoldTransposes(),
        RewriteReshape(),
        # everything is float16 in the end, so weights that are so already need no Cast
        FoldConstants(keep_halves=False),
        EliminateDeadCode(),
    )
