"""Where an exported PyTorch network is to be rounded to 8 bits: a quantizer for torchao's PT2E flow.

Only tensors that an operator computes are annotated, each at the node that computes it. Operators that move
elements get no rounding of their own, as what they give is on the grid already; what a concatenation joins
shares one scale. A BatchNorm behind a convolution, and a clamp (Relu, Relu6) behind most operators, become
part of them, so nothing is rounded in between. Any other BatchNorm is a depthwise convolution of 1 x 1.
A concatenation that only leaves the network moves real numbers: what it joins may have unlike ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import fx
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

from edgecompile.core.integer import SOFTMAX_LIMIT
from edgecompile.torch.fake_quantize import GREATEST, LEAST, PerChannelWeights, PerTensorRange
from edgecompile.torch.operators import (
    BINARY,
    CLAMPS,
    CONTRACTIONS,
    FUSIBLE,
    POOLS,
    PRODUCTS,
    TABLES,
    constant_nodes,
    is_float,
    kind,
    origins,
    rank,
    sole_user,
)

_KEY = "quantization_annotation"  # where torchao looks for annotations
ACTIVATION = QuantizationSpec(
    torch.int8, PerTensorRange, quant_min=LEAST, quant_max=GREATEST, qscheme=torch.per_tensor_affine
)
# What Softmax computes in integers without a further rescaling: scale 1/256, zero point -128.
PROBABILITIES = QuantizationSpec(
    torch.int8,
    PerTensorRange.with_args(low=0.0, high=255 / 256),
    quant_min=LEAST,
    quant_max=GREATEST,
    qscheme=torch.per_tensor_affine,
)
WEIGHTS = QuantizationSpec(
    torch.int8,
    PerChannelWeights,
    quant_min=-GREATEST,
    quant_max=GREATEST,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
)


class Int8Quantizer(Quantizer):
    """int8 activations with a zero point; int8 weights in [-127, 127], one scale an output channel."""

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Say for every tensor that computes or is computed in integers how it is rounded."""
        constants = constant_nodes(model.graph)
        groups = _Groups(model.graph)
        part_of_another: set[fx.Node] = set()
        for node in model.graph.nodes:
            operands = [source for source in _operands(node) if source not in constants]
            if node in part_of_another or not _computes_in_integers(node, operands, constants):
                continue
            chain = list(fused(node))
            part_of_another.update(chain[1:])
            groups.join([chain[-1]])
            for operand in operands:
                groups.join(origins(operand))
            if kind(node) in CONTRACTIONS:
                _annotation(node).input_qspec_map = {node.args[1]: WEIGHTS}
        for node, leader in groups:
            shared = SharedQuantizationSpec(leader)
            _annotation(node).output_qspec = _spec(groups, leader) if node is leader else shared
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to refuse: `annotate` passes over what has no integer form."""


def fused(node: fx.Node) -> Iterator[fx.Node]:
    """`node` and what becomes part of it: a BatchNorm, then a clamp."""
    yield node
    last, reader = node, sole_user(node)
    if reader is not None and is_foldable(node, reader):
        last, reader = reader, sole_user(reader)
        yield last
    if kind(node) in FUSIBLE and reader is not None and is_clamp(reader):
        yield reader


def is_foldable(node: fx.Node, reader: fx.Node) -> bool:
    """Whether `reader` is a BatchNorm of the output channels of `node`."""
    by_channel = kind(node) in ("conv1d", "conv2d") or (kind(node) == "linear" and rank(node) == 2)
    return by_channel and kind(reader) == "batch_norm"


def is_clamp(node: fx.Node) -> bool:
    """Whether `node` is a Relu or another clamp to constant bounds."""
    return kind(node) in CLAMPS and len(node.all_input_nodes) == 1


class _Groups:
    """Nodes that share one scale; the first of a group in the order of the graph leads it."""

    def __init__(self, graph: fx.Graph) -> None:
        self._place = {node: place for place, node in enumerate(graph.nodes)}
        self._leader: dict[fx.Node, fx.Node] = {}

    def join(self, nodes: Iterable[fx.Node]) -> None:
        """Put `nodes` and all that share with one of them into one group."""
        wanted = list(nodes)
        leaders = {self._leader.setdefault(node, node) for node in wanted}
        first = min(leaders, key=self._place.__getitem__)
        for node, leader in self._leader.items():
            if leader in leaders:
                self._leader[node] = first

    def members(self, leader: fx.Node) -> list[fx.Node]:
        return [node for node, its in self._leader.items() if its is leader]

    def __iter__(self) -> Iterator[tuple[fx.Node, fx.Node]]:
        return iter(sorted(self._leader.items(), key=lambda item: self._place[item[0]]))


def _spec(groups: _Groups, leader: fx.Node) -> QuantizationSpec:
    only_softmax = all(kind(node) == "softmax" for node in groups.members(leader))
    return PROBABILITIES if only_softmax else ACTIVATION


def _annotation(node: fx.Node) -> QuantizationAnnotation:
    found: QuantizationAnnotation = node.meta.setdefault(_KEY, QuantizationAnnotation(_annotated=True))
    return found


def _operands(node: fx.Node) -> list[fx.Node]:
    """The tensors of real numbers among the arguments that are no weights."""
    count = 1 if kind(node) in CONTRACTIONS | {"batch_norm"} else len(node.args)
    return [arg for arg in node.args[:count] if isinstance(arg, fx.Node) and is_float(arg)]


def _computes_in_integers(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    """Whether there is an integer operator for what `node` does."""
    if not operands or not is_float(node):
        return False
    name = kind(node)
    return name in TABLES or is_clamp(node) or (name in _RULES and _RULES[name](node, operands, constants))


_Rule = Callable[[fx.Node, Sequence[fx.Node], set[fx.Node]], bool]


def _has_constant_weights(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    bias = node.args[2] if len(node.args) > 2 else None
    return node.args[1] in constants and (bias is None or bias in constants)


def _averages(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    ceil_mode = kind(node).startswith("avg_pool") and len(node.args) > 4 and node.args[4]
    return not ceil_mode


def _multiplies_rows(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    return len(operands) == 2 and min(map(rank, operands)) >= 2


def _is_plain(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    """Not a + alpha · b."""
    return node.kwargs.get("alpha", 1) == 1 and node.args[2:] in ((), (1,))


def _divides_by_number(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    return isinstance(node.args[1], int | float) and not node.kwargs


def _has_channels(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    """Whether the BatchNorm is one that `finish` makes a depthwise convolution of."""
    return rank(node) in (2, 3, 4)


def _has_short_rows(node: fx.Node, operands: Sequence[fx.Node], constants: set[fx.Node]) -> bool:
    shape, axis = node.meta["val"].shape, node.args[1]
    return isinstance(axis, int) and isinstance(shape[axis], int) and shape[axis] <= SOFTMAX_LIMIT


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(CONTRACTIONS, _has_constant_weights),
    **dict.fromkeys(POOLS, _averages),
    **dict.fromkeys(PRODUCTS, _multiplies_rows),
    **dict.fromkeys(BINARY, _is_plain),
    "batch_norm": _has_channels,
    "div": _divides_by_number,
    "softmax": _has_short_rows,
}
