"""Partition a graph into kernels: a heavy node and the elementwise nodes around it become one.

The rule is the usual one of fusing along immediate post-dominators (as in TVM's FuseOps): from a group with
one live result, the set of nodes through which all uses of that result pass is merged when every one of
them is elementwise and of the result's shape. `x * sigmoid(x)` after a convolution is such a diamond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import onnx_ir as ir

from edgecompile.core.target import Isa
from edgecompile.lower.registry import Kind, find_op

KindOf: TypeAlias = Callable[[ir.Node], Kind]

# A diamond of more nodes than this is left alone; real epilogues are far smaller.
_MAX_REGION = 16


@dataclass(frozen=True)
class Group:
    """Nodes that become one kernel, in topological order; `kind` is the heaviest kind among them."""

    nodes: tuple[ir.Node, ...]
    kind: Kind

    @property
    def layers(self) -> tuple[str, ...]:
        """What the nodes are called."""
        return tuple(node.name or node.op_type for node in self.nodes)

    @property
    def outputs(self) -> tuple[ir.Value, ...]:
        """Values that somebody outside reads."""
        inside = set(self.nodes)
        return tuple(
            value for node in self.nodes for value in node.outputs if value.name and _escapes(value, inside)
        )


def fuse(graph: ir.Graph, isa: Isa | None = None) -> list[Group]:
    """Groups in execution order; every node of `graph` is in exactly one. `isa` is what kernels are for."""
    kind_of = partial(_kind, isa=isa)
    position = {node: index for index, node in enumerate(graph)}
    taken: set[ir.Node] = set()
    groups: list[Group] = []
    for node in graph:
        if node in taken:
            continue
        group = _grow(node, position, taken, kind_of)
        taken.update(group.nodes)
        groups.append(group)
    return sorted(groups, key=lambda group: position[group.nodes[-1]])


def _grow(seed: ir.Node, position: dict[ir.Node, int], taken: set[ir.Node], kind_of: KindOf) -> Group:
    kind = kind_of(seed)
    members = [seed]
    while kind not in (Kind.OPAQUE, Kind.ALIAS):
        region = _region_after(members, position, taken)
        if region is None or not _may_absorb(kind, members, region, kind_of):
            break
        if kind_of(region[-1]) is Kind.REDUCTION:
            kind = Kind.REDUCTION
        members += region
    return Group(tuple(sorted(members, key=position.__getitem__)), kind)


def _kind(node: ir.Node, isa: Isa | None) -> Kind:
    row = find_op(node)
    return row.kind_for(isa) if row else Kind.OPAQUE


def _escapes(value: ir.Value, inside: set[ir.Node]) -> bool:
    return value.is_graph_output() or any(user not in inside for user in value.consumers())


def _live_result(members: Sequence[ir.Node]) -> ir.Value | None:
    """The single value through which the group is seen from outside; None when there are several."""
    inside = set(members)
    live = [value for node in members for value in node.outputs if _escapes(value, inside)]
    return live[0] if len(live) == 1 and not live[0].is_graph_output() else None


def _region_after(
    members: Sequence[ir.Node], position: dict[ir.Node, int], taken: set[ir.Node]
) -> list[ir.Node] | None:
    """The smallest set of nodes that all uses of the group's result pass through, ending in one node."""
    result = _live_result(members)
    if result is None:
        return None
    region = set(result.consumers()) - set(members)
    while region and len(region) <= _MAX_REGION:
        if any(node in taken or node not in position for node in region):
            return None
        inside = region | set(members)
        leaving = {n for n in region if any(_escapes(value, inside) for value in n.outputs)}
        if len(leaving) == 1:
            return sorted(region, key=position.__getitem__)
        if any(value.is_graph_output() for node in leaving for value in node.outputs):
            return None
        last = max(region, key=position.__getitem__)
        further = {user for n in leaving - {last} for value in n.outputs for user in value.consumers()}
        if further <= region:
            return None  # the uses end in nodes whose results nobody reads
        region |= further
    return None


def _may_absorb(kind: Kind, members: Sequence[ir.Node], region: Sequence[ir.Node], kind_of: KindOf) -> bool:
    result = _live_result(members)
    assert result is not None
    last = region[-1]
    if len(last.outputs) != 1 or any(kind_of(node) is not Kind.ELEMENTWISE for node in region[:-1]):
        return False
    if kind_of(last) is Kind.ELEMENTWISE:
        return all(node.outputs[0].shape == result.shape for node in region)
    if len(region) > 1 or kind not in (Kind.ELEMENTWISE, Kind.INJECTIVE):
        return False
    return kind_of(last) in (Kind.INJECTIVE, Kind.REDUCTION)
