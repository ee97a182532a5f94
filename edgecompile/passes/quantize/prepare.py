"""From an imported network to the form that is quantized: canonical, optimized for float, plain operators.

Everything that changes weights or removes tensors is done, so that no scale is spent on it: BatchNorms are
folded, decomposed operators recognised. Nothing is fused and channels stay first: compiling does that later.
"""

from __future__ import annotations

from edgecompile.core.pipeline import Pass
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.fuse_activation import FuseActivation
from edgecompile.passes.optimize import graph_passes
from edgecompile.passes.widen_convolution import WidenConvolution


def preparing_passes() -> tuple[Pass, ...]:
    """The passes, in order."""
    kept = [step for step in graph_passes("nchw") if not isinstance(step, FuseActivation | WidenConvolution)]
    return (*canonicalize_passes(), FoldConstants(keep_halves=False), *kept)
