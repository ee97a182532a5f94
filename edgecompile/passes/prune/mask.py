"""The network with units silenced instead of removed: what a cut is compared with.

The weights that compute a unit become 0, nothing behind them changes. So a unit becomes a constant: what
its bias, and all that follows, make of it. In a group that is `silenced`, shifts become 0 as well: biases,
and the constants that are added to the unit or multiply it.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array, add_initializer, constant_of
from edgecompile.passes.prune.groups import Dependencies, Use
from edgecompile.passes.rewriting import graph_of

# Inputs that hold biases, and constants that are carried and that can be 0 without harm; the rest is weights.
_BIASES = {("Conv", 2), ("ConvTranspose", 2), ("Gemm", 2)}
_SUMS = ("Add", "Concat", "Mul", "Sub", "Sum")
_NORMALIZATIONS = tuple(f"{kind}Normalization" for kind in ("Batch", "Group", "Instance", "Layer", "RMS"))


def mask_units(
    model: Model, dependencies: Dependencies, kept: Array, silenced: Collection[str] = ()
) -> Model:
    """A copy of `model` in which all units that are not `kept` are constants."""
    masked = model.copy()
    nodes = {str(node.name): node for node in masked.graph.graph}
    groups = dependencies.group_of()
    silent = np.array([*(group.name in silenced for group in groups), False])
    for use in dependencies.uses:
        units = dependencies.slots.get((use.initializer, use.axis))
        if units is None:
            continue
        node = nodes[use.node]
        shift = _is_shift(node.op_type, use.index)
        gone = ~kept[units] & (silent[units] if shift else True)
        array, value = constant_of(node.inputs[use.index]), node.inputs[use.index]
        if array is None or value is None or not gone.any() or not (shift or _computes(use, node.op_type)):
            continue
        array = array.copy()
        array[(slice(None),) * use.axis + (gone,)] = 0
        name = f"{value.name}/masked"
        node.replace_input_with(use.index, add_initializer(graph_of(node), name, array, value))
    return masked


def _is_shift(op_type: str, index: int) -> bool:
    """Whether the input holds what is added to units, or may as well be 0 when that is."""
    return (op_type, index) in _BIASES or op_type in _SUMS or (op_type in _NORMALIZATIONS and index in (1, 2))


def _computes(use: Use, op_type: str) -> bool:
    """Whether the constant is a factor of every product that makes up a unit."""
    grouped = op_type in ("Conv", "ConvTranspose") and use.index == 1
    return use.role == "producer" or (use.role == "carried" and grouped)
