"""Which nodes of an integer network are for the NPU, and in which runs it computes them.

A run ends where nothing else is left that depends on the runs and CPU nodes so far alone: taking what is
ready by turns, first all there is for the NPU, then all for the CPU, gives the fewest changes between them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from edgecompile.backends.ethos_u.constraints import TABLE, name_of
from edgecompile.backends.tflite.export import refused_nodes
from edgecompile.core.model import Model, tensor_info
from edgecompile.core.target import EthosU, Target
from edgecompile.errors import Problem
from edgecompile.passes.edit import constant_of
from edgecompile.passes.macs import macs_of

# What gives bytes another shape: no work at all for a CPU.
_NAMES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})

# Why a node is for the CPU.
Refused = dict[ir.Node, list[Problem]]


@dataclass(frozen=True)
class Segment:
    """Nodes that the NPU computes at one go, what they read that is no constant, and what others read."""

    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(str(node.name) for node in self.nodes if node.name)


def refusals(model: Model, npu: EthosU, target: Target) -> Refused:
    """The nodes that `npu` does not compute, or that cannot be handed to its compiler, with every reason."""
    unwritable, refused = refused_nodes(model), {}
    for node in model.graph.graph:
        problems = TABLE.problems([node], npu, target.name)
        problems = problems or [unwritable[node]] if node in unwritable else problems
        if problems:
            refused[node] = problems
    return refused


def segments_of(model: Model, refused: Refused) -> tuple[Segment, ...]:
    """What the NPU computes of `model`, in order.

    Where something is `refused`, a run that only gives bytes another shape is left to the CPU, and joins it.
    """
    runs = _runs(model.graph.graph, refused)
    idle = [node for run in runs if all(node.op_type in _NAMES for node in run) for node in run]
    if refused and idle:
        what, why = "the NPU would compute nothing", "all around it is for the CPU"
        for node in idle:
            refused[node] = [Problem("EC4544", what, str(node.name), why)]
        runs = _runs(model.graph.graph, refused)
    return tuple(map(segment_of, runs))


def segment_of(nodes: Sequence[ir.Node]) -> Segment:
    """These nodes of one graph, of which none depends on another by way of others.

    The network's own inputs and outputs are in its order, and before others.
    """
    inside, graph = set(nodes), nodes[0].graph
    assert graph is not None
    read = [value for node in nodes for value in node.inputs if value is not None]
    data = {value for value in read if constant_of(value) is None and value.producer() not in inside}
    written = {value for node in nodes for value in node.outputs if _is_read_outside(value, inside)}
    inputs = dict.fromkeys(value for value in (*graph.inputs, *read) if value in data)
    results = (*graph.outputs, *(value for node in nodes for value in node.outputs))
    outputs = dict.fromkeys(value for value in results if value in written)
    return Segment(tuple(nodes), tuple(inputs), tuple(outputs))


def refuse_layers(problems: Sequence[Problem], segments: Sequence[Segment], refused: Refused) -> bool:
    """Add the nodes that Vela rejected to `refused`; False, and nothing added, when it named none of ours.

    It calls a layer by its result, whose name is that of the node's result or begins with the node's.
    """
    nodes = [node for segment in segments for node in segment.nodes]
    found: Refused = {}
    for problem in problems:
        blamed = [node for node in nodes if _is_part_of(problem.where, node)]
        if not blamed:
            return False
        found.setdefault(blamed[0], []).append(problem)
    refused |= found
    return True


def fallback_report(model: Model, segments: Sequence[Segment], refused: Refused) -> dict[str, Any]:
    """What the CPU computes and why, what it shares with the NPU, and what the NPU computes."""
    nodes = [
        {"node": str(node.name), "operator": name_of(node), "reasons": [p.why or p.what for p in problems]}
        for node, problems in refused.items()
    ]
    on_npu = {node for segment in segments for node in segment.nodes}
    macs = {node: macs_of(node) for node in model.graph.graph}
    shared = [value for segment in segments for value in _shared(segment, on_npu)]
    return {
        "nodes": nodes,
        "npu_segments": len(segments),
        "border_bytes": sum(tensor_info(value).nbytes for value in shared),
        "macs": sum(macs.values()),
        "npu_macs": sum(count for node, count in macs.items() if node in on_npu),
    }


def _is_part_of(layer: str, node: ir.Node) -> bool:
    own = str(node.name or node.outputs[0].name)
    return layer.startswith(f"{own}/") or layer in [value.name for value in node.outputs]


def _runs(graph: ir.Graph, refused: Collection[ir.Node]) -> list[list[ir.Node]]:
    waiting, runs = list(graph), []
    done: set[ir.Node] = set()
    on_npu = True
    while waiting:
        run: list[ir.Node] = []
        for node in waiting:
            producers = {value.producer() for value in node.inputs if value is not None} - {None}
            if (node not in refused) == on_npu and producers <= done:
                run.append(node)
                done.add(node)
        waiting = [node for node in waiting if node not in done]
        runs += [run] if on_npu and run else []
        on_npu = not on_npu
    return runs


def _is_read_outside(value: ir.Value, inside: Collection[ir.Node]) -> bool:
    return value.is_graph_output() or any(user not in inside for user in value.consumers())


def _shared(segment: Segment, on_npu: Collection[ir.Node]) -> list[ir.Value]:
    """What the segment takes from the CPU and leaves to it; the network's own inputs and outputs are not."""
    taken = [v for v in segment.inputs if v.producer() is not None and v.producer() not in on_npu]
    left = [v for v in segment.outputs if any(user not in on_npu for user in v.consumers())]
    return [*taken, *left]
