"""What is left of a unit that is not computed any more: a constant that its readers can do without.

A sigmoid of 0 is 0.5, a convolution's bias survives ReLU. The constants are read from the masked network,
where units end. There `fold.py` makes biases of them. A padded convolution sees a constant inside and 0 at
its border, so that no bias does; there, and where units must be 0 for another reason, the group is silenced
first (see `mask.py`). What is then still no constant, or not 0, is a problem: the cut removes more than the
mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prove import generate_inputs, index_bounds
from edgecompile.passes.prune.groups import Dependencies, Reader
from edgecompile.passes.prune.mask import mask_units
from edgecompile.passes.quantize.observe import Executor

# Differences that float32 makes of equal sums, relative to the greatest number of the tensor.
_TOLERANCE = 1e-6
_PROBES = 2


@dataclass(frozen=True)
class Constants:
    """`found` has the constants of removed units along the axis where each reader ends them, else 0.

    What is no constant counts by its mean over the probes, whose inputs are standard normal. `silenced` are
    the groups of which also the shifts had to go, `problems` says what is wrong with groups.
    """

    found: tuple[tuple[Reader, Array], ...]
    silenced: frozenset[str]
    problems: Mapping[str, str]


def find_constants(model: Model, dependencies: Dependencies, kept: Array) -> Constants:
    """Execute `model` with the units that are not `kept` masked, and look at them where they end."""
    nodes = {str(node.name): node for node in model.graph.graph}
    readers = [(reader, nodes[reader.node]) for reader in dependencies.readers]
    cut = [(reader, node, _cut_units(reader, node, dependencies, kept)) for reader, node in readers]
    cut = [entry for entry in cut if (entry[2] >= 0).any()]
    names = list(dict.fromkeys(_operand(reader, node) for reader, node, _ in cut))
    groups = [group.name for group in dependencies.group_of()]
    silenced: frozenset[str] = frozenset()
    while True:
        seen = _look(mask_units(model, dependencies, kept, silenced), names, cut)
        problems: dict[str, str] = {}
        for (reader, node, units), left in zip(cut, seen, strict=True):
            for bad, why in _defects(reader, node, left):
                for unit in units[bad & (units >= 0)]:
                    problems.setdefault(groups[unit], why)
        if not set(problems) - silenced:
            break
        silenced |= set(problems)
    found = []
    for (reader, _, units), left in zip(cut, seen, strict=True):
        found.append((reader, np.where((units >= 0) & np.isfinite(left.mean), left.mean, 0)))
    return Constants(tuple(found), silenced, problems)


@dataclass(frozen=True)
class _Left:
    """What each index along a reader's axis holds in all probes; numbers as near as `equal` are the same."""

    low: Array
    high: Array
    mean: Array
    equal: float


def _defects(reader: Reader, node: ir.Node, left: _Left) -> Iterator[tuple[Array, str]]:
    """At which indices no constant, or the wrong one, is left, and why that matters to `reader`."""
    varies = ~(left.high - left.low <= left.equal)
    yield varies, f"what is left of a unit where '{node.name}' reads it is no single number"
    why = _why_not(reader, node)
    if why:
        yield varies | (np.maximum(np.abs(left.low), np.abs(left.high)) > left.equal), why


def _operand(reader: Reader, node: ir.Node) -> str:
    """The name of the tensor in which units end."""
    value = node.inputs[reader.data]
    assert value is not None
    return str(value.name)


def _why_not(reader: Reader, node: ir.Node) -> str:
    """Why `node` can only do without units that are 0; empty when any constant will do."""
    if reader.weight is None:
        return f"'{node.name}' can only do without units that are 0"
    padded = any(node.attributes.get_ints("pads") or ()) or "auto_pad" in node.attributes
    if node.op_type == "ConvTranspose" or (node.op_type == "Conv" and padded):
        return f"what is left of a unit would need another bias at each border of '{node.name}'"
    return ""


def _cut_units(reader: Reader, node: ir.Node, dependencies: Dependencies, kept: Array) -> Array:
    """The removed unit of each index along the reader's axis, -1 for those that stay."""
    axis, units = dependencies.values.get(_operand(reader, node), (-1, np.zeros(0, int)))
    return np.where(kept[units], -1, units) if axis == reader.axis else np.zeros(0, int)


def _look(model: Model, names: Sequence[str], cut: Sequence[tuple[Reader, ir.Node, Array]]) -> list[_Left]:
    """What each reader sees at each index of its axis, over all probes."""
    execute, bounds = Executor(model, names), index_bounds(model)
    probes = [execute(generate_inputs(model.inputs, seed, bounds)) for seed in range(_PROBES)]
    seen = []
    for reader, node, units in cut:
        arrays = [np.moveaxis(values[_operand(reader, node)], reader.axis, 0) for values in probes]
        rows = np.concatenate([array.reshape(len(units), -1) for array in arrays], axis=1)
        equal = _TOLERANCE * float(np.abs(rows).max())
        seen.append(_Left(rows.min(axis=1), rows.max(axis=1), rows.mean(axis=1, dtype=np.float64), equal))
    return seen
