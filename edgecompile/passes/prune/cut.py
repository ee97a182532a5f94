"""Cut units out of a network: smaller dense weights, the same operators.

before                                         after, without unit 1 of the first convolution's three
    Conv(x, w [3, 2, 1, 1]) -> Conv(., v [4, 3, 1, 1])   Conv(x, w [2, 2, 1, 1]) -> Conv(., v [4, 2, 1, 1])
"""

from __future__ import annotations

from edgecompile.core.model import Model
from edgecompile.passes.edit import constant_of
from edgecompile.passes.infer import infer_node
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.assign import assign
from edgecompile.passes.prune.constants import find_constants
from edgecompile.passes.prune.fold import fold_constants
from edgecompile.passes.prune.groups import Dependencies, Keep
from edgecompile.passes.prune.rewrite import rewrite_node


def cut(model: Model, keep: Keep, dependencies: Dependencies | None = None) -> Model:
    """A copy of `model` of which only the units in `keep` are left; groups that are not named stay whole.

    `dependencies` is what `analyse` finds for `model`, to save finding it again. What removed units leave
    behind goes into the biases of those that read them. Names stay. Raises UnsupportedError as
    `Dependencies.kept` does.
    """
    dependencies = dependencies or analyse(model)
    kept = dependencies.kept(keep)
    result = model.copy()
    if kept.all():
        return result
    graph = result.graph.graph
    folded = fold_constants(result, dependencies, find_constants(model, dependencies, kept))
    cuts = {
        name: (axis, kept[units])
        for name, (axis, units) in dependencies.values.items()
        if not kept[units].all()
    }
    cuts.update({new: cuts[old] for new, old in folded.moved.items() if old in cuts})
    for (name, axis), units in {**dependencies.slots, **folded.slots}.items():
        value = graph.initializers[name]
        array = constant_of(value)
        if array is not None and not kept[units].all():
            assign(value, array.compress(kept[units], axis))
    for node in list(graph):
        rewrite_node(node, cuts)
    for node in graph:
        infer_node(node, result.graph.opset_imports)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        if not graph.initializers[name].is_graph_output():
            del graph.initializers[name]
    return result
