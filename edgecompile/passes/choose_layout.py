"""Compute convolutions and pools on channels-last data where that pays.

before: x [N,C,H,W] -> Conv -> Relu -> Conv -> y
after:  x -> Transpose -> edgecompile::ConvNhwc -> Relu -> edgecompile::ConvNhwc -> Transpose -> y

Channels-last keeps the values that one multiply-accumulate loop reads next to each other, which vector units
want. What it costs is the Transposes at the borders. A minimum cut (layout/choose.py) weighs the two and
decides for all nodes at once, so operators between convolutions follow them, and a lone convolution stays as
it is. A Transpose that only moves axes of size 1 is made a Reshape, which costs nothing.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from edgecompile.core.fused import TO_NHWC, FusedOp, Layout
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.layout.apply import apply
from edgecompile.passes.layout.choose import choose
from edgecompile.passes.rewriting import finish

# A Transpose moves an element in about the time in which a vector unit does this many multiply-accumulates
# more on channels-last data than on channels-first data.
_MACS_PER_MOVE = 8

_WINDOWED = frozenset({"MaxPool", "AveragePool", "LpPool"})
_GLOBAL = frozenset({"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})


class ChooseLayout:
    """Give each node of rank 4 data the layout that is cheapest over all; does nothing for "nchw"."""

    name = "choose_layout"
    tolerance = 1e-5  # kernels sum in another order

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        choice = choose(graph, TO_NHWC, _gain) if self.layout == "nhwc" else None
        if choice is None:
            return PassResult(model, False)
        apply(graph, choice)
        return finish(model, len(choice.changes), "nodes moved to layout nhwc")


def _gain(node: ir.Node) -> int:
    """What channels-last saves for `node`, in elements moved by a Transpose."""
    return _macs(node) // _MACS_PER_MOVE


def _macs(node: ir.Node) -> int:
    """Multiply-accumulates (comparisons, for pools) of `node`; 0 for operators that gain nothing."""
    op, result, data = FusedOp.of(node), static_shape(node.outputs[0]), static_shape(node.inputs[0])
    if op is None or result is None or data is None:
        return 0
    if op.base in ("Conv", "ConvInteger", "ConvTranspose"):
        weights = static_shape(node.inputs[1]) or ()
        positions = result[0] * math.prod((data if op.base == "ConvTranspose" else result)[2:])
        return positions * math.prod(weights)
    if op.base in _WINDOWED:
        kernel = tuple(node.attributes.get_ints("kernel_shape", ()))
        return math.prod(result) * math.prod(kernel)
    return math.prod(data) if op.base in _GLOBAL else 0
