"""The list of graph passes, from a canonical graph to one that is ready for lowering."""

from __future__ import annotations

from edgecompile.core.fused import Layout
from edgecompile.core.pipeline import Pass
from edgecompile.passes.cancel_transposes import CancelTransposes
from edgecompile.passes.choose_layout import ChooseLayout
from edgecompile.passes.decompose_depth_to_space import DecomposeDepthToSpace
from edgecompile.passes.expand_transposed_convolution import ExpandTransposedConvolution
from edgecompile.passes.explicit_padding import ExplicitPadding
from edgecompile.passes.fold_batch_norm import FoldBatchNorm
from edgecompile.passes.fold_transposes import FoldTransposes
from edgecompile.passes.fuse_activation import FuseActivation
from edgecompile.passes.fuse_gemm import FuseGemm
from edgecompile.passes.fuse_pad import FusePad
from edgecompile.passes.normalize_arithmetic import NormalizeArithmetic
from edgecompile.passes.normalize_clip import NormalizeClip
from edgecompile.passes.normalize_pooling import NormalizePooling
from edgecompile.passes.recognize_attention import RecognizeAttention
from edgecompile.passes.recognize_gelu import RecognizeGelu
from edgecompile.passes.recognize_hard_swish import RecognizeHardSwish
from edgecompile.passes.recognize_layer_norm import RecognizeLayerNorm
from edgecompile.passes.recognize_rms_norm import RecognizeRmsNorm
from edgecompile.passes.recognize_silu import RecognizeSilu
from edgecompile.passes.recognize_slice import RecognizeSlice
from edgecompile.passes.rewrite_reshape import RewriteReshape
from edgecompile.passes.widen_convolution import WidenConvolution


def graph_passes(layout: Layout) -> tuple[Pass, ...]:
    """The passes in order, for a target whose kernels prefer `layout`. The graph must be canonical."""
    return (
        # one spelling for what exporters spell in many ways
        DecomposeDepthToSpace(),
        RewriteReshape(),
        RecognizeSlice(),
        RewriteReshape(),
        NormalizeArithmetic(),
        NormalizeClip(),
        ExplicitPadding(),
        # operators found in their decompositions; before anything is folded into weights
        RecognizeGelu(),
        RecognizeSilu(),
        RecognizeHardSwish(),
        RecognizeLayerNorm(),
        RecognizeRmsNorm(),
        RecognizeAttention(),
        NormalizePooling(),
        # constants into weights
        FusePad(),
        FuseGemm(),
        FoldBatchNorm(),
        # where data lies
        ExpandTransposedConvolution(),
        WidenConvolution(),
        RewriteReshape(),
        CancelTransposes(),
        ChooseLayout(layout),
        CancelTransposes(),
        FoldTransposes(),
        RewriteReshape(),
        # last, so that all passes above see plain operators
        FuseActivation(),
    )
