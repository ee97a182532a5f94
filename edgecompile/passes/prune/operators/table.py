"""Which rule executes which of ONNX's operators on labels. What is not here is left whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgecompile.passes.prune.operators import (
    attention,
    channelwise,
    contraction,
    elementwise,
    movement,
    recurrent,
    reduction,
)
from edgecompile.passes.prune.trace import Trace

Rule = Callable[[Trace, ir.Node], None]

RULES: Mapping[str, Rule] = {
    **elementwise.RULES,
    **channelwise.RULES,
    **reduction.RULES,
    **movement.RULES,
    **contraction.RULES,
    **attention.RULES,
    **recurrent.RULES,
}
