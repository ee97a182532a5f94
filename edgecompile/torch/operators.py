"""What the operators of an exported PyTorch graph mean to the quantizer, as data and small questions.

The graph is that of torch.export: ATen operators on torch.fx nodes, weights and buffers as "get_attr" nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import fx

# Sums of products with constant weights [O, ...]; the arguments are input, weights, bias.
CONTRACTIONS = frozenset({"conv1d", "conv2d", "linear"})
CLAMPS = frozenset({"relu", "relu6", "hardtanh", "clamp"})
POOLS = frozenset({"adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "mean"})
BINARY = frozenset({"add", "mul", "rsub", "sub"})
TABLES = frozenset("elu gelu hardsigmoid hardswish leaky_relu mish neg selu sigmoid silu tanh".split())
PRODUCTS = frozenset({"bmm", "matmul"})
# A clamp that alone reads the result of one of these becomes part of it.
FUSIBLE = CONTRACTIONS | PRODUCTS | (POOLS - {"mean"}) | {"add", "batch_norm"}
# Operators that only move elements or choose among them: the result has the scale of what is moved.
MOVES = frozenset(
    """
    alias amax cat clone constant_pad_nd contiguous dropout expand flatten max_pool1d max_pool2d pad permute
    reshape select slice squeeze transpose unflatten unsqueeze upsample_nearest2d view
    """.split()
)


def kind(node: fx.Node) -> str:
    """The operator's name without overload and in-place mark, such as "conv2d"; "" for anything else.

    A module of this package in the graph says itself what it is, by its attribute `kind`.
    """
    if node.op == "call_module":
        owner = node.graph.owning_module
        return str(getattr(owner.get_submodule(node.target), "kind", "")) if owner is not None else ""
    found = re.fullmatch(r"aten\.(\w+?)_?\.\w+", str(node.target)) if node.op == "call_function" else None
    return found[1] if found else ""


def place(node: fx.Node) -> str:
    """Where the user finds the node: the path of its module and the operator, such as "stem.0/conv2d"."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    return f"{path}/{kind(node)}" if path else node.name


def is_float(node: fx.Node) -> bool:
    """Whether the node gives one tensor of single precision."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32


def rank(node: fx.Node) -> int:
    """How many dimensions the tensor has that the node gives."""
    return len(node.meta["val"].shape)


def sole_user(node: fx.Node) -> fx.Node | None:
    """The only node that reads this one, else None."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def constant_nodes(graph: fx.Graph) -> set[fx.Node]:
    """Parameters, buffers, and what is computed from nothing else."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        inputs = node.all_input_nodes
        computed = node.op == "call_function" and inputs and all(source in found for source in inputs)
        if node.op == "get_attr" or computed:
            found.add(node)
    return found


def moved(node: fx.Node) -> list[fx.Node]:
    """The inputs whose elements a move takes: all of a concatenation, otherwise the first."""
    first = node.args[0]
    sources = first if isinstance(first, list | tuple) else [first]
    return [source for source in sources if isinstance(source, fx.Node)]


def origins(node: fx.Node) -> Iterator[fx.Node]:
    """The nodes that compute what `node` gives, moves left out."""
    if kind(node) not in MOVES:
        yield node
        return
    for source in moved(node):
        yield from origins(source)
