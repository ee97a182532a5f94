"""Remove what no output needs: nodes, initializers, unused optional outputs, functions, operator sets.

before                              after
    y = Relu(x)                         y = Relu(x)
    z = Conv(x, w)      # unread
"""

from __future__ import annotations

from onnx_ir.passes import common

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult


class EliminateDeadCode:
    """Inputs and outputs of the network stay, read or not."""

    name = "eliminate_dead_code"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        steps = (
            common.RemoveUnusedNodesPass(),
            common.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
            common.RemoveUnusedOpsetsPass(),
        )
        modified = [step(model.graph).modified for step in steps]
        return PassResult(model, any(modified))
