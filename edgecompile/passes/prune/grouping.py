"""From labels to groups: units that lie in the same tensors and along the same axes of initializers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.groups import Dependencies, Group, Kind, Member, Role, Use
from edgecompile.passes.prune.labels import compact
from edgecompile.passes.prune.trace import Trace, name_of, shape_of

# An axis of an initializer.
Slot = tuple[str, int]
# Where units are: a slot, or a tensor that is computed.
_Place = Slot | str
_RANK: dict[Role, int] = {"carried": 0, "consumer": 1, "producer": 2}


class Grouping:
    """The units of a `trace` that is complete, as their roots along each slot and each tensor."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._axes: dict[str, int] = {}
        self._roots: dict[_Place, list[int]] = {}
        for (value, axis), labels in trace.axes.items():
            self._roots[str(value.name), axis] = trace.labels.roots(labels).tolist()
        for value, labels in trace.values.items():
            self._add_tensor(value, trace.labels.roots(labels))
        self._reasons = trace.labels.reasons()
        self._uses = tuple(self._resolved())
        self._roles: dict[_Place, Role] = {}
        for use in sorted(self._uses, key=lambda use: _RANK[use.role]):
            self._roles[use.initializer, use.axis] = use.role

    def _add_tensor(self, value: ir.Value, roots: Array) -> None:
        axis = next(iter(self._trace.labels.varying(roots)), None)
        if axis is not None:
            along = roots[tuple(slice(None) if other == axis else 0 for other in range(roots.ndim))]
            name = str(value.name)
            self._axes[name] = axis
            self._roots[name if constant_of(value) is None else (name, axis)] = along.tolist()
        elif roots.size:
            self._trace.labels.freeze(roots, f"nothing of '{value.name}' would be left")

    def _resolved(self) -> Iterator[Use]:
        """The uses; for a constant that is an operand, with the axis that was found for it."""
        for use in self._trace.uses:
            if use.axis >= 0:
                yield use
            elif use.initializer in self._axes:
                yield replace(use, axis=self._axes[use.initializer])

    def dependencies(self, graph: ir.Graph) -> Dependencies:
        """Groups in the order of the nodes of `graph`, and the numbers of their units everywhere."""
        found = _with_unique_names(self._groups(graph))
        units = [(root, bool(group.frozen)) for group, roots in found for root in roots]
        numbers = {root: number for number, (root, frozen) in enumerate(units) if not frozen}
        slots: dict[Slot, Array] = {}
        values: dict[str, tuple[int, Array]] = {}
        for place, roots in self._roots.items():
            along = np.array([numbers.get(root, -1) for root in roots])
            if (along >= 0).any() and isinstance(place, tuple):
                slots[place] = along
            elif (along >= 0).any():
                values[str(place)] = self._axes[str(place)], along
        return Dependencies(
            tuple(group for group, _ in found), slots, values, self._uses, tuple(self._trace.readers)
        )

    def _groups(self, graph: ir.Graph) -> list[tuple[Group, list[int]]]:
        """The groups with the roots of their units."""
        indices: dict[int, dict[_Place, list[int]]] = defaultdict(dict)
        for place, along in self._roots.items():
            for index, root in enumerate(along):
                indices[root].setdefault(place, []).append(index)
        alike: dict[tuple[bool, tuple[_Place, ...]], list[int]] = defaultdict(list)
        for root, places in indices.items():
            roles = {self._roles.get(place) for place in places} - {None}
            frozen = root in self._reasons
            if "producer" in roles or (roles and not frozen):
                alike[frozen, tuple(places)].append(root)
        order = {name_of(node): number for number, node in enumerate(graph)}
        shapes = {str(value.name): shape_of(value) for value in graph.initializers.values()}
        found = []
        for (_, everywhere), roots in alike.items():
            members = tuple(
                Member(*place, tuple(tuple(indices[root][place]) for root in roots), self._roles[place])
                for place in everywhere
                if isinstance(place, tuple) and place in self._roles
            )
            found.append((self._describe(members, roots, order, shapes), roots))
        return sorted(found, key=lambda pair: order[pair[0].name])

    def _describe(
        self,
        members: tuple[Member, ...],
        roots: Sequence[int],
        order: Mapping[str, int],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> Group:
        slots = {(member.initializer, member.axis) for member in members}
        used = [use for use in self._uses if (use.initializer, use.axis) in slots]
        nodes = sorted({use.node for use in used}, key=order.__getitem__)
        producers = {use.node for use in used if use.role == "producer"}
        name = next((node for node in nodes if node in producers), nodes[0])
        frozen = next((self._reasons[root] for root in roots if root in self._reasons), "")
        frozen = frozen or ("all of it is one unit" if len(roots) == 1 else "")
        own = set(roots)
        inexact = next((why for labels, why in self._trace.inexact if self._meet(labels, own)), "")
        ranks = {len(shapes[member.initializer]) for member in members if member.role == "producer"}
        return Group(name, len(roots), self._kind(own, ranks), members, tuple(nodes), frozen, inexact)

    def _kind(self, roots: set[int], ranks: set[int]) -> Kind:
        if any(self._meet(labels, roots) for labels in self._trace.hidden):
            return "hidden"
        if any(self._meet(labels, roots) for labels in self._trace.heads):
            return "heads"
        return "neurons" if ranks <= {1, 2} else "channels"

    def _meet(self, labels: Array, roots: set[int]) -> bool:
        return not roots.isdisjoint(np.unique(compact(self._trace.labels.roots(labels))).tolist())


def _with_unique_names(groups: list[tuple[Group, list[int]]]) -> list[tuple[Group, list[int]]]:
    """Groups that begin at the same node are told apart by a number."""
    counts: dict[str, int] = defaultdict(int)
    result = []
    for group, roots in groups:
        counts[group.name] += 1
        number = counts[group.name]
        result.append((replace(group, name=group.name if number == 1 else f"{group.name}#{number}"), roots))
    return result
