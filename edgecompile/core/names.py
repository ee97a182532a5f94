"""Names of nodes and tensors: present, unique, and the same every time."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common


def fix_names(model: ir.Model) -> bool:
    """Make all names in `model` unique and non-empty, in place; returns whether one changed.

    A node without a name is called by its operator and position ("Conv_12"). Names of the network's inputs
    and outputs win over others; a later duplicate gets "_1", "_2" …
    """
    modified = False
    holders: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for holder in holders:
        for position, node in enumerate(holder.all_nodes()):
            if not node.name:
                node.name = f"{node.op_type}_{position}"
                modified = True
    return common.NameFixPass()(model).modified or modified
