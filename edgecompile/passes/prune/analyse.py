"""Find coupled groups by executing the network on labels.

Every element of every tensor carries the label of the unit that it belongs to. Operators that move data are
executed on the labels; contractions consume labels and make new ones; all others tie labels of operands and
results. What no rule knows is left whole, with a reason. It is the dependency graph of DepGraph (Fang et al.,
2023), without a rule for each way of moving data.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.integer import DOMAIN
from edgecompile.core.model import Model
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.prune.grouping import Grouping
from edgecompile.passes.prune.groups import Dependencies
from edgecompile.passes.prune.operators.table import RULES
from edgecompile.passes.prune.rectangles import make_rectangular
from edgecompile.passes.prune.trace import Trace

_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def analyse(model: Model) -> Dependencies:
    """The coupled groups of `model`, which is canonical (`passes/canonicalize.py`), and their units.

    Raises UnsupportedError (EC4530) for a network that is quantized already.
    """
    graph = model.graph.graph
    _refuse_quantized(graph)
    trace = Trace(model.graph.opset_imports)
    for value in graph.inputs:
        trace.set_whole(value, f"it is tied to input '{value.name}'")
    for node in graph:
        if not node.domain and node.op_type in RULES:
            RULES[node.op_type](trace, node)
        else:
            trace.stop(node)
    for value in graph.outputs:
        trace.labels.freeze(trace.of(value), f"it is output '{value.name}'")
    trace.finish()
    make_rectangular(trace)
    return Grouping(trace).dependencies(graph)


def _refuse_quantized(graph: ir.Graph) -> None:
    for node in graph:
        if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear") or node.domain == DOMAIN:
            what, why = "a quantized network cannot be pruned", f"node '{node.name}' is {node.op_type}"
            fix = "prune the float network, then quantize it"
            raise UnsupportedError(Problem("EC4530", what, str(node.name), why, fix))
