"""Give each reader of a constant vector its own copy.

Equal constants are merged on import, the zero biases of two layers for example. Shared, they would have to be
cut alike, and so would the layers. Weights that two layers share stay shared, and are cut alike.
"""

from __future__ import annotations

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of


class SeparateConstants:
    """Copies of constants with more than one element that extend along one axis only."""

    name = "separate_constants"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        count = 0
        for value in list(graph.initializers.values()):
            array = constant_of(value)
            if array is None or array.size == 1 or array.size != max(array.shape, default=1):
                continue
            for node, index in list(value.uses())[1:]:
                if node.graph is graph:
                    name = f"{value.name}/{node.name}"
                    node.replace_input_with(index, add_initializer(graph, name, array, value))
                    count += 1
        return PassResult(model, bool(count), (f"{count} shared vectors copied",) if count else ())
