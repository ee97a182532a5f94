"""Scales and zero points of activations, from the ranges of what was observed.

A Concat should move integers, so its operands get the scale of its result, as long as none of them loses
much by that. An operand that would lose more than a bit keeps its own scale and is rescaled in front of the
Concat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgecompile.passes.integer.moves import data_inputs, is_move
from edgecompile.passes.quantize.observe import Observation
from edgecompile.passes.quantize.parameters import (
    PROBABILITIES,
    Activations,
    Parameters,
    asymmetric,
    symmetric,
)
from edgecompile.passes.quantize.plan import Group, Plan
from edgecompile.passes.quantize.ranges import RANGES, Range, RangeMethod

# By how much the range of a tensor may be widened so that it shares another's scale.
_WIDENED = 2.0
# An output that joins ranges less alike than this would leave few integers to the narrowest.
_UNLIKE: dict[Activations, float] = {"int8": 4.0, "int16": 1024.0}
_NOTHING = Range(0.0, 0.0)


@dataclass(frozen=True)
class Scales:
    """How tensors are stored, by name, and operands in front of a Concat, by its name and their position."""

    tensors: Mapping[str, Parameters]
    joints: Mapping[tuple[str, int], Parameters]


@dataclass
class _Shared:
    """Groups with one scale, which covers `covered`; `narrowest` is the width of the narrowest source."""

    groups: list[Group]
    covered: Range
    narrowest: float

    @staticmethod
    def of(group: Group, ranges: Mapping[str, Range]) -> _Shared:
        own = [ranges[str(value.name)] for value in group.sources]
        return _Shared([group], _union(own), min((one.width for one in own), default=float("inf")))

    def take_over(self, other: _Shared) -> None:
        self.groups += other.groups
        self.covered = self.covered.union(other.covered)
        self.narrowest = min(self.narrowest, other.narrowest)

    def parameters(self, activations: Activations) -> Parameters:
        if activations == "int16":
            return symmetric(self.covered)
        writers = [value.producer() for group in self.groups for value in group.sources]
        if {None if writer is None else writer.op_type for writer in writers} == {"Softmax"}:
            return PROBABILITIES
        return asymmetric(self.covered)


def choose_ranges(plan: Plan, observation: Observation, method: RangeMethod) -> dict[str, Range]:
    """The range of each tensor that is the source of a group."""
    names = [str(value.name) for value in plan.sources]
    return {name: RANGES[method](observation.histograms[name]) for name in names}


def choose_scales(plan: Plan, ranges: Mapping[str, Range], activations: Activations = "int8") -> Scales:
    """Scale and zero point of everything that `plan` quantizes."""
    shared = {id(group): _Shared.of(group, ranges) for group in plan.groups}
    home = {value: shared[id(group)] for group in plan.groups for value in group.values}
    for node in plan.concats:
        result = home[node.outputs[0]]
        operands = list({id(home[value]): home[value] for value in _operands(node, home)}.values())
        result.covered = result.covered.union(_union(operand.covered for operand in operands))
        for operand in operands:
            if operand is not result and result.covered.width <= _WIDENED * operand.narrowest:
                result.take_over(operand)
                home |= {value: result for group in operand.groups for value in group.values}
    chosen = {value: one.parameters(activations) for value, one in home.items()}
    joints = {
        (str(node.name), index): chosen[node.outputs[0]]
        for node in plan.concats
        for index, value in enumerate(node.inputs)
        if value is not None and chosen[value] != chosen[node.outputs[0]]
    }
    return Scales({str(value.name): parameters for value, parameters in chosen.items()}, joints)


def unlike_outputs(plan: Plan, ranges: Mapping[str, Range], activations: Activations = "int8") -> list[str]:
    """Concat nodes whose result only leaves the network and whose operands have unlike ranges.

    They are better computed in float than on one scale.
    """
    names = []
    widths = {
        value: _union(ranges[str(source.name)] for source in group.sources).width
        for group in plan.groups
        for value in group.values
        if group.sources
    }
    for node in plan.concats:
        own = [widths[value] for value in _operands(node, widths)]
        if own and _leaves(node.outputs[0]) and max(own) > _UNLIKE[activations] * min(own):
            names.append(str(node.name))
    return names


def _operands(node: ir.Node, known: Mapping[ir.Value, object]) -> list[ir.Value]:
    values = [node.inputs[index] for index in data_inputs(node)]
    return [value for value in values if value is not None and value in known]


def _leaves(value: ir.Value) -> bool:
    """Whether `value` is only moved to outputs of the network."""
    return all(is_move(node) and _leaves(node.outputs[0]) for node in value.consumers())


def _union(ranges: Iterable[Range]) -> Range:
    covered = _NOTHING
    for one in ranges:
        covered = covered.union(one)
    return covered
