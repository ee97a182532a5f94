"""What tests of cuts share: choosing units, and checking what is left of a network."""

from __future__ import annotations

import math

import numpy as np
import onnx

from edgecompile.core.model import Model
from edgecompile.passes.edit import static_shape
from edgecompile.passes.prove import generate_inputs, index_bounds, run_model
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.groups import Dependencies
from edgecompile.passes.prune.proof import Proof, prove


def some_units(dependencies: Dependencies, share: float, seed: int = 0) -> dict[str, list[int]]:
    """Random units to keep of each group that can be cut, without about `share` of them."""
    random = np.random.default_rng(seed)
    return {
        group.name: sorted(random.permutation(group.size)[: max(1, round(group.size * (1 - share)))].tolist())
        for group in dependencies.groups
        if not group.frozen
    }


def cut_and_prove(
    model: Model, dependencies: Dependencies, keep: dict[str, list[int]]
) -> tuple[Model, Proof]:
    """Cut, and check that `model` is untouched, and that the result is valid and has the shapes it states."""
    before = model.to_bytes()
    pruned = cut(model, keep, dependencies)
    proof = prove(model, pruned, keep, 1, dependencies)
    assert model.to_bytes() == before
    onnx.checker.check_model(pruned.to_proto())
    assert [value.name for value in pruned.graph.graph.outputs] == [
        value.name for value in model.graph.graph.outputs
    ]
    check_shapes(pruned)
    return pruned, proof


def check_shapes(model: Model) -> None:
    """Every tensor has the shape that the graph says."""
    probe = model.copy()
    values = [value for node in probe.graph.graph for value in node.outputs if value.name]
    probe.graph.graph.outputs[:] = values
    arrays = run_model(probe, generate_inputs(model.inputs, 0, index_bounds(model)))
    assert [static_shape(value) for value in values] == [array.shape for array in arrays]


def parameters(model: Model) -> int:
    """How many floats the constants have."""
    values = model.graph.graph.initializers.values()
    floats = [value for value in values if value.dtype is not None and value.dtype.is_floating_point()]
    return sum(math.prod(static_shape(value) or ()) for value in floats)
