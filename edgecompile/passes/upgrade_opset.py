"""Bring every node to one version of ONNX's operators, so that later passes know one form of each.

before (opset 9)                         after (opset 24)
    y = Slice(x, starts=[1], ends=[3])       s, e = [1], [3]
                                             y = Slice(x, s, e)
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir
from onnx import defs

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.opset_adapters import ADAPTERS, CannotUpgrade

# The newest opset at which onnxruntime executes every operator that it knows: from 25 on it cannot inline
# Swish, at 28 it lacks QuantizeLinear. Networks written for a newer opset keep theirs.
TARGET_OPSET = 24
# Overloaded functions need it.
_IR_VERSION = 10


class UpgradeOpset:
    """Upgrades graph and functions to `target`, or to the newest opset among them if that is newer.

    Raises UnsupportedError (EC4201) naming every node that has no newer form.
    """

    name = "upgrade_opset"
    tolerance = 1e-6

    def __init__(self, target: int = TARGET_OPSET) -> None:
        self._target = target

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph
        graph.ir_version = max(graph.ir_version, _IR_VERSION)
        holders: list[ir.Graph | ir.Function] = [graph.graph, *graph.functions.values()]
        known = model.provenance.opset
        target = max([self._target, *(holder.opset_imports.get("", known) for holder in holders)])
        modified = False
        problems: list[Problem] = []
        for holder in holders:
            version = holder.opset_imports.get("", known)
            if version < target:
                problems.extend(upgrade_nodes(holder, version, target))
                modified = True
            holder.opset_imports[""] = target
        if problems:
            raise UnsupportedError(*problems)
        return PassResult(model, modified)


def upgrade_nodes(holder: ir.Graph | ir.Function, version: int, target: int) -> Iterator[Problem]:
    """Rewrite the nodes of `holder`, subgraphs included, from opset `version` to `target`."""
    for node in list(holder.all_nodes()):
        if node.domain != "":
            continue
        try:
            _upgrade_node(node, version, target)
        except CannotUpgrade as reason:
            what = f"{node.op_type} of opset {version} cannot be upgraded to opset {target}"
            fix = f"export the network again with opset {target}"
            yield Problem("EC4201", what, node.name or "", str(reason), fix)


def _upgrade_node(node: ir.Node, version: int, target: int) -> None:
    for step in range(version + 1, target + 1):
        adapter = ADAPTERS.get((node.op_type, step))
        if adapter is not None:
            adapter(node)
    if not defs.has(node.op_type, target, ""):
        raise CannotUpgrade(f"opset {target} has no such operator")
    schema = defs.get_schema(node.op_type, target, "")
    unknown = [name for name in node.attributes if name not in schema.attributes]
    if schema.deprecated or unknown:
        raise CannotUpgrade("it was removed" if schema.deprecated else f"it lost {', '.join(unknown)}")
