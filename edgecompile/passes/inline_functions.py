"""Replace calls of functions that the model itself defines by their bodies.

before                              after
    y = my.Block(x)                     block/a = Conv(x, w)
    my.Block(x) { Relu(Conv(x, w)) }    y = Relu(block/a)
"""

from __future__ import annotations

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.inlining import bind_call, inline_bound_calls


class InlineFunctions:
    """Inlines all model-local functions, nested ones included, and removes their definitions.

    Functions must import the operator versions that the model imports; `UpgradeOpset` sees to that.
    """

    name = "inline_functions"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph
        if not graph.functions:
            return PassResult(model, False)
        originals = dict(graph.functions)
        for node in list(graph.graph.all_nodes()):
            function = originals.get(node.op_identifier())
            if function is not None:
                bind_call(graph, node, function)
        inline_bound_calls(graph)
        for identifier in originals:
            graph.functions.pop(identifier, None)
        return PassResult(model, True)
