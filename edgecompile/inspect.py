"""What a network consists of and costs, before anything is compiled: layers, MACs, parameters, memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecompile.core.model import Model, tensor_info
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.tensor import TensorInfo
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.eliminate_dead_code import EliminateDeadCode
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.inline_functions import InlineFunctions
from edgecompile.passes.macs import macs_of

if TYPE_CHECKING:
    import onnx_ir as ir

# What gives every tensor a shape and leaves the network's own layers as they are.
_PREPARE = Pipeline((FoldConstants(), InlineFunctions(), FoldConstants(), EliminateDeadCode()))

# Element types of index and condition tensors, which are not called parameters.
_NOT_PARAMETERS = ("int64", "bool")


@dataclass(frozen=True)
class Layer:
    """One node: its multiply-accumulates and parameter elements for one inference."""

    name: str
    operator: str
    outputs: tuple[TensorInfo, ...]
    macs: int
    parameters: int


@dataclass(frozen=True)
class Inspection:
    """A network in figures.

    `activation_peak_bytes` is the largest sum of bytes of intermediate tensors that are alive at one node,
    in the order of the file, without the network's own inputs and outputs. A compiled network needs less
    where nodes are fused or computed in place, and more where a kernel needs workspace.
    """

    source: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[Layer, ...]
    parameter_bytes: int
    activation_peak_bytes: int
    notes: tuple[str, ...]

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)


def inspect_source(source: str, options: ImportOptions) -> Inspection:
    """Import `source`, fold its arithmetic on shapes and describe it. Raises what `import_through` raises."""
    return inspect_model(import_through(source, options, _PREPARE)[0])


def inspect_model(model: Model) -> Inspection:
    """Describe an imported network, all of whose shapes are static."""
    counted: set[str] = set()
    layers = tuple(_layer(node, counted) for node in model.graph.graph)
    weights = [value for value in model.graph.graph.initializers.values() if value.name in counted]
    return Inspection(
        model.provenance.source,
        model.inputs,
        model.outputs,
        layers,
        sum(tensor_info(value).nbytes for value in weights),
        _activation_peak(model.graph.graph),
        model.notes,
    )


def _layer(node: ir.Node, counted: set[str]) -> Layer:
    """Describe `node`; a shared weight belongs to the first node that uses it."""
    parameters = 0
    for value in node.inputs:
        if value is None or not value.is_initializer() or value.name in counted:
            continue
        info = tensor_info(value)
        if info.dtype not in _NOT_PARAMETERS:
            counted.add(info.name)
            parameters += info.elements
    outputs = tuple(tensor_info(value) for value in node.outputs if value.name)
    name = node.name or (outputs[0].name if outputs else "?")
    return Layer(name, node.op_type, outputs, macs_of(node), parameters)


def _activation_peak(graph: ir.Graph) -> int:
    nodes = list(graph)
    last_use = {value.name: index for index, node in enumerate(nodes) for value in node.inputs if value}
    border = {value.name for value in (*graph.inputs, *graph.outputs)}
    dying: dict[int, int] = {}
    live = peak = 0
    for index, node in enumerate(nodes):
        for value in node.outputs:
            if value.name and value.name not in border:
                size = tensor_info(value).nbytes
                end = last_use.get(value.name, index)
                dying[end] = dying.get(end, 0) + size
                live += size
        peak = max(peak, live)
        live -= dying.pop(index, 0)
    return peak
