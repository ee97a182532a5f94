"""A network as blocks, in each of which the weights are rounded together.

A block ends where the network is narrow, one tensor being all that is read behind: the end of a residual
block, of an inverted bottleneck, of a plain layer. Neighbours with few contractions are joined, and a part
without narrow places (a feature pyramid) is cut behind each contraction. Y. Li et al., "BRECQ: pushing the
limit of post-training quantization by block reconstruction" (2021), compare blocks with single layers and
whole networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.edit import add_initializer, constant_of, nbytes_of, static_shape
from edgecompile.passes.quantize.bias import bias_place
from edgecompile.passes.quantize.calibrate import Calibrated

# Contractions in a block that are joined at most, and that a part without narrow places may have.
_JOINED, _LARGEST = 3, 8
# Blocks are not joined over what leaves fewer than one of so many numbers.
_SHRUNK = 8


@dataclass(frozen=True)
class Block:
    """`nodes` in the graph's order, the tensors that they read from before and those that are read behind.

    `contractions` are the names of the nodes whose weights are to be rounded.
    """

    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]
    contractions: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people: the first and the last contraction."""
        first, *others = self.contractions or (str(self.nodes[0].name),)
        return f"{first} to {others[-1]}" if others else first

    @property
    def size(self) -> int:
        """How many elements the nodes compute for one sample."""
        return sum(prod(static_shape(value) or ()) for node in self.nodes for value in node.outputs)


@dataclass(frozen=True)
class Separated:
    """A copy of a network for reconstruction, and where contractions find what belongs to them alone.

    `weights` and `biases` have the names of constants by the names of nodes; a MatMul may have no bias.
    """

    model: Model
    weights: Mapping[str, str]
    biases: Mapping[str, str]


def separate(calibrated: Calibrated) -> Separated:
    """The float network with weights and a bias of its own for each contraction that is quantized.

    A Concat reads what is rescaled in front of it through an Identity called NODE/input_I. Reshapes take any
    number of samples.
    """
    model = calibrated.model.copy()
    graph = model.graph.graph
    weights, biases = {}, {}
    nodes = {str(node.name): node for node in graph}
    for name in calibrated.contractions:
        place = bias_place(nodes[name])
        weights[name] = _own_constant(graph, nodes[name], 1, f"{name}/own_weights")
        if place is not None:
            biases[name] = _own_constant(graph, *place, f"{name}/own_bias")
    for name, index in calibrated.scales.joints:
        _insert_identity(graph, nodes[name], index)
    for node in graph:
        free_leading_axis(graph, node)
    return Separated(model, weights, biases)


def find_blocks(calibrated: Calibrated, model: Model) -> list[Block]:
    """All nodes of `model`, which `separate` made of the network, as blocks in order."""
    graph = model.graph.graph
    nodes = list(graph)
    live = _live(nodes, graph.inputs)
    planned = {str(node.name) for node in calibrated.plan.nodes}
    unfinished = {
        value
        for node in nodes
        for value in node.outputs
        if node.name in planned and value.name not in calibrated.scales.tensors
    }
    places = [place for place in range(1, len(nodes)) if not unfinished.intersection(live[place])]
    ends = _ends(nodes, live, places, calibrated.contractions)
    starts = [0, *ends[:-1]]
    outputs = set(graph.outputs)
    return [
        _block(nodes[a:b], live[a], live[b], outputs, calibrated) for a, b in zip(starts, ends, strict=True)
    ]


def most_samples(blocks: Sequence[Block], nbytes: int) -> int:
    """How many samples can be kept in `nbytes`: before and behind each block, in float and quantized."""
    kept = [2 * sum(nbytes_of(v) or 0 for v in (*block.inputs, *block.outputs)) for block in blocks]
    return max(nbytes // max(kept, default=1), 1)


def _own_constant(graph: ir.Graph, node: ir.Node, index: int, name: str) -> str:
    """Give `node` a constant of its own as input `index`; zeros for a bias that it lacks."""
    array = constant_of(node.inputs[index]) if index < len(node.inputs) else None
    if array is None:
        channels = (static_shape(node.outputs[0]) or (0, 0))[1]
        array = np.zeros(channels, np.float32)
        node.resize_inputs(max(index + 1, len(node.inputs)))
    value = add_initializer(graph, name, array if index == 1 and node.op_type != "Add" else array.reshape(-1))
    node.replace_input_with(index, value)
    return str(value.name)


def _insert_identity(graph: ir.Graph, node: ir.Node, index: int) -> None:
    source = node.inputs[index]
    assert source is not None
    copy = ir.Node("", "Identity", [source], name=f"{node.name}/input_{index}")
    result = copy.outputs[0]
    result.name, result.shape, result.type = copy.name, source.shape, source.type
    graph.insert_before(node, copy)
    node.replace_input_with(index, result)


def free_leading_axis(graph: ir.Graph, node: ir.Node) -> None:
    """Let a Reshape that keeps the leading axis take any extent of it."""
    if node.op_type != "Reshape" or node.domain or constant_of(node.inputs[1]) is None:
        return
    before, behind = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if before and behind and before[0] == behind[0] and 0 not in behind:
        shape = add_initializer(graph, f"{node.name}/any_samples", np.array([-1, *behind[1:]], np.int64))
        node.replace_input_with(1, shape)


def _live(nodes: Sequence[ir.Node], inputs: Iterable[ir.Value]) -> list[list[ir.Value]]:
    """For each place between nodes the tensors that are computed before and read behind."""
    last = {value: place for place, node in enumerate(nodes) for value in node.inputs if value is not None}
    computed = [value for value in inputs if value in last]
    live = [computed]
    for place, node in enumerate(nodes):
        computed = [value for value in (*computed, *node.outputs) if last.get(value, -1) > place]
        live.append(computed)
    return live


def _ends(
    nodes: Sequence[ir.Node],
    live: Sequence[Sequence[ir.Value]],
    places: Sequence[int],
    contractions: Mapping[str, object],
) -> list[int]:
    """Where blocks end, among `places` and the end of the network."""

    def count(start: int, end: int) -> int:
        return sum(node.name in contractions for node in nodes[start:end])

    narrow = [place for place in places if len(live[place]) == 1] + [len(nodes)]
    ends = [0]
    for place, following in zip(narrow, [*narrow[1:], len(nodes)], strict=True):
        if count(ends[-1], place) > _LARGEST:
            for cut in places:
                if ends[-1] < cut < place and count(ends[-1], cut) >= _JOINED and count(cut, place):
                    ends.append(cut)
        small = count(ends[-1], following) <= _JOINED or not count(place, following)
        if count(ends[-1], place) and not (small and _joins(nodes[place:following], live, place, following)):
            ends.append(place)
    return [*ends[1:], *([len(nodes)] if ends[-1] != len(nodes) else [])]


def _joins(nodes: Sequence[ir.Node], live: Sequence[Sequence[ir.Value]], place: int, following: int) -> bool:
    """Whether what follows keeps enough to compare: a mean over positions and a Softmax do not."""
    if not nodes or any(node.op_type == "Softmax" for node in nodes):
        return False
    before, behind = (sum(prod(static_shape(v) or ()) for v in live[i]) for i in (place, following))
    return behind * _SHRUNK >= before or not behind


def _block(
    nodes: Sequence[ir.Node],
    before: Sequence[ir.Value],
    behind: Sequence[ir.Value],
    outputs: Iterable[ir.Value],
    calibrated: Calibrated,
) -> Block:
    read = {value for node in nodes for value in node.inputs}
    computed = [value for node in nodes for value in node.outputs]
    kept = {*behind, *outputs}
    return Block(
        tuple(nodes),
        tuple(value for value in before if value in read),
        tuple(value for value in computed if value in kept),
        tuple(str(node.name) for node in nodes if str(node.name) in calibrated.contractions),
    )
