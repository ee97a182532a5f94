"""Which operators of a float network are to compute in integers, and which tensors share a scale.

An operator that can compute in integers does, unless the user keeps it in float, or nothing would be won:
something cheap between operators that compute in float stays with them. Operators that only move elements,
or interpolate among them, give their result the scale of what they read, so all tensors that they connect are
one `Group`; only a Concat may join tensors of several.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgecompile.core.fused import FUSIBLE, FusedOp
from edgecompile.core.integer import SOFTMAX_LIMIT
from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.integer.functions import function_of
from edgecompile.passes.integer.moves import data_inputs, is_move
from edgecompile.passes.integer.resize import interpolates
from edgecompile.passes.matching import only_reader
from edgecompile.passes.quantize.bias import added_bias
from edgecompile.passes.quantize.parameters import Activations

CONTRACTIONS = frozenset({"Conv", "Gemm", "MatMul"})
_CLAMPS = frozenset({"Relu", "Clip"})
_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean"})
# Functions that an 8-bit table represents well. Those of a great dynamic range (Exp, Log, Sqrt, Pow,
# Reciprocal, Div by a tensor) are left out: most of what they read or write would be the integer 0.
_TABLES = frozenset(
    """
    Abs Celu Elu Erf Gelu HardSigmoid HardSwish LeakyRelu Mish Neg PRelu Selu Sigmoid Softplus Softsign Swish
    Tanh
    """.split()
)
_BINARY = frozenset({"Add", "Sub", "Mul"})
# Not worth two conversions when everything around them is float.
_CHEAP = _TABLES | _BINARY | _CLAMPS | {"Div", "Max", "Min", "Softmax"}


@dataclass(frozen=True)
class Group:
    """Tensors with one scale and zero point; `values` that are no `sources` are moved from others."""

    values: tuple[ir.Value, ...]
    sources: tuple[ir.Value, ...]


@dataclass(frozen=True)
class Plan:
    """`nodes` compute in integers, in the graph's order; `groups` hold all tensors that are quantized.

    Each of `concats` joins tensors of some groups to one of another, which has no sources.
    """

    nodes: tuple[ir.Node, ...]
    groups: tuple[Group, ...]
    concats: tuple[ir.Node, ...]

    @property
    def sources(self) -> list[ir.Value]:
        """The quantized tensors that are computed, and not moved from others."""
        return [value for group in self.groups for value in group.sources]


def make_plan(graph: ir.Graph, keep_float: Collection[str] = (), activations: Activations = "int8") -> Plan:
    """The plan for `graph`, canonical and without fused operators, and tensors stored as `activations`.

    The nodes named in `keep_float` compute in float.
    """
    kept = {node for node in graph if node.name in keep_float or not _has_routine(node, activations)}
    chosen = {node for node in graph if computes_in_integers(node) and node not in kept}
    between = {node for node in graph if interpolates(node) and node not in kept}
    moves = [node for node in graph if node in between or (is_real_move(node) and node not in kept)]
    while lonely := {node for node in chosen if _is_lonely(node, chosen, set(moves))}:
        chosen -= lonely
    touched = dict.fromkeys(
        value for node in graph if node in chosen for value in _quantized_values(node, chosen)
    )
    groups = tuple(_groups(touched, moves))
    quantized = {value for group in groups for value in group.values}
    chosen |= {node for node in between if node.outputs[0] in quantized}
    nodes = tuple(node for node in graph if node in chosen)
    concats = (node for node in moves if node.op_type == "Concat" and node.outputs[0] in quantized)
    return Plan(nodes, groups, tuple(concats))


def computes_in_integers(node: ir.Node) -> bool:
    """Whether there is an integer operator for what `node` does, and 8 bits are enough for it."""
    op = FusedOp.of(node)
    if op is None or op.activation or len(node.outputs) != 1 or node.outputs[0].dtype != ir.DataType.FLOAT:
        return False
    if static_shape(node.outputs[0]) is None or not _operands(node):
        return False
    if op.base in _TABLES:
        return function_of(node) is not None
    if op.base in ("Div", "Max", "Min"):
        return function_of(node) is not None and len(_operands(node)) == 1
    return op.base in _RULES and _RULES[op.base](node)


def _has_routine(node: ir.Node, activations: Activations) -> bool:
    """Whether an integer operator for `node` would be for this type: there are two of 8 bits only."""
    return activations == "int8" or not (node.op_type == "Softmax" or interpolates(node))


def is_real_move(node: ir.Node) -> bool:
    """Whether `node` only moves real numbers."""
    return is_move(node) and node.outputs[0].dtype == ir.DataType.FLOAT


def fused_clamp(node: ir.Node, chosen: Collection[ir.Node]) -> ir.Node | None:
    """The Relu or Clip that becomes part of `node`, because nobody else reads the result."""
    if node.op_type not in FUSIBLE or node.domain:
        return None
    reader = only_reader(node.outputs[0]) if node in chosen else None
    return reader if reader in chosen and reader is not None and reader.op_type in _CLAMPS else None


def fused_reader(node: ir.Node, chosen: Collection[ir.Node]) -> ir.Node | None:
    """What becomes part of `node`, so that nothing is stored between them: a bias or a clamp."""
    add = added_bias(node)
    return add if add is not None and node in chosen and add in chosen else fused_clamp(node, chosen)


def reading_axis(node: ir.Node) -> int:
    """The axis of its first input that the contraction `node` sums over: that of input channels."""
    return 1 if node.op_type == "Conv" else len(static_shape(node.inputs[0]) or ()) - 1


def weights_axis(node: ir.Node) -> int | None:
    """The axis of output channels in the constant weights of `node`; None when it has none."""
    if node.op_type not in CONTRACTIONS or constant_of(node.inputs[1]) is None:
        return None
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return 0 if node.op_type == "Conv" else 1


def _operands(node: ir.Node) -> list[ir.Value]:
    """The inputs that are computed at run time."""
    return [value for value in node.inputs if value is not None and constant_of(value) is None]


def _conv(node: ir.Node) -> bool:
    automatic = node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    return not automatic and _has_constant_weights(node)


def _gemm(node: ir.Node) -> bool:
    attributes = node.attributes
    scaled = [attributes.get_float(name, 1.0) for name in ("alpha", "beta")] != [1.0, 1.0]
    return _has_constant_weights(node) and not attributes.get_int("transA", 0) and not scaled


def _has_constant_weights(node: ir.Node) -> bool:
    bias = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    has_other_bias = len(node.inputs) > 2 and node.inputs[2] is not None and bias is None
    channels = (static_shape(node.outputs[0]) or (0, 0))[1]
    fits = bias is None or bias.size == channels
    return constant_of(node.inputs[1]) is not None and not has_other_bias and fits


def _matmul(node: ir.Node) -> bool:
    ranks = [len(static_shape(value) or ()) for value in node.inputs]
    second = constant_of(node.inputs[1])
    return constant_of(node.inputs[0]) is None and min(ranks) >= 2 and (second is None or ranks[1] == 2)


def _average_pool(node: ir.Node) -> bool:
    attributes = node.attributes
    return not attributes.get_int("ceil_mode", 0) and attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


def _has_constant_tail(node: ir.Node) -> bool:
    """Whether everything but input 0 is constant: bounds, axes."""
    return constant_of(node.inputs[0]) is None and all(
        value is None or constant_of(value) is not None for value in node.inputs[1:]
    )


def _softmax(node: ir.Node) -> bool:
    shape = static_shape(node.outputs[0]) or ()
    return bool(shape) and shape[node.attributes.get_int("axis", -1)] <= SOFTMAX_LIMIT


_RULES: dict[str, Callable[[ir.Node], bool]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda node: True,
    "ReduceMean": _has_constant_tail,
    "Softmax": _softmax,
    **dict.fromkeys(_BINARY, lambda node: True),
    **dict.fromkeys(_CLAMPS, _has_constant_tail),
}


def _is_lonely(node: ir.Node, chosen: Collection[ir.Node], moves: Collection[ir.Node]) -> bool:
    """Whether `node` is cheap and only float operators write what it reads, or read what it writes."""
    sources = [value.producer() for value in _operands(node)]
    is_part = any(source is not None and fused_reader(source, chosen) is node for source in sources)
    if node.op_type not in _CHEAP or is_part:
        return False
    writers = [_writer(value, moves) for value in _operands(node)]
    readers = list(_readers(node.outputs[0], moves))
    from_float = all(writer is not None and writer not in chosen for writer in writers)
    to_float = bool(readers) and all(reader is not None and reader not in chosen for reader in readers)
    return from_float or to_float


def _writer(value: ir.Value, moves: Collection[ir.Node]) -> ir.Node | None:
    """The node that computes `value`, moves left out; None for an input of the network."""
    node = value.producer()
    while node is not None and node in moves and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node


def _readers(value: ir.Value, moves: Collection[ir.Node]) -> Iterable[ir.Node | None]:
    """Who reads `value`, moves left out; None for an output of the network."""
    if value.is_graph_output():
        yield None
    for node in value.consumers():
        if node in moves:
            yield from _readers(node.outputs[0], moves)
        else:
            yield node


def _quantized_values(node: ir.Node, chosen: Collection[ir.Node]) -> Iterable[ir.Value]:
    """What `node` reads and writes in integers: not what lies between it and what is part of it."""
    for value in _operands(node):
        writer = value.producer()
        if writer is None or writer not in chosen or fused_reader(writer, chosen) is not node:
            yield value
    if fused_reader(node, chosen) is None:
        yield node.outputs[0]


def _connected(
    starts: Iterable[ir.Value], neighbours: Mapping[ir.Value, Sequence[ir.Value]]
) -> Iterable[tuple[ir.Value, ...]]:
    """The components of a graph of tensors that hold `starts`, in order of appearance."""
    seen: set[ir.Value] = set()
    for start in starts:
        if start in seen:
            continue
        seen.add(start)
        values = [start]
        for value in values:
            new = [other for other in dict.fromkeys(neighbours.get(value, ())) if other not in seen]
            seen.update(new)
            values += new
        yield tuple(values)


def _neighbours(moves: Iterable[ir.Node]) -> dict[ir.Value, list[ir.Value]]:
    """Which tensors `moves` connect."""
    found: dict[ir.Value, list[ir.Value]] = {}
    for node in moves:
        for index in data_inputs(node):
            source = node.inputs[index]
            if source is not None and constant_of(source) is None:
                found.setdefault(source, []).append(node.outputs[0])
                found.setdefault(node.outputs[0], []).append(source)
    return found


def _groups(touched: Iterable[ir.Value], moves: Sequence[ir.Node]) -> Iterable[Group]:
    """The tensors that moves connect to those `touched`, as groups that end at every Concat."""
    quantized = [value for values in _connected(touched, _neighbours(moves)) for value in values]
    moved = {node.outputs[0] for node in moves}
    alike = _neighbours(node for node in moves if node.op_type != "Concat")
    for values in _connected(quantized, alike):
        yield Group(values, tuple(value for value in values if value not in moved))
