"""Make all names unique and non-empty, so that layers can be told apart in reports and on the device."""

from __future__ import annotations

from onnx_ir.passes import common

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult


class FixNames:
    """Names of the network's inputs and outputs win; a later duplicate gets "_1", "_2" …"""

    name = "fix_names"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        modified = False
        for position, node in enumerate(model.graph.graph.all_nodes()):
            if not node.name:
                node.name = f"{node.op_type}_{position}"
                modified = True
        return PassResult(model, common.NameFixPass()(model.graph).modified or modified)
