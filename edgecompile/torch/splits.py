"""Pieces of a tensor as slices, which move integers like any other move.

before: parts = chunk(x, 2, 1); a = parts[0]
after:  a = slice(x, 1, 0, C / 2)
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import fx

from edgecompile.torch.operators import kind

_SPLITS = ("chunk", "split", "split_with_sizes", "tensor_split")


def slice_splits(model: fx.GraphModule) -> None:
    """Replace every piece of chunk, split and the like whose place is known."""
    for node in list(model.graph.nodes):
        if kind(node) in _SPLITS:
            for piece in list(node.users):
                _slice(model.graph, node, piece)
    model.graph.eliminate_dead_code()
    model.recompile()


def _slice(graph: fx.Graph, node: fx.Node, piece: fx.Node) -> None:
    axis = node.args[2] if len(node.args) > 2 else 0
    sizes = [part.shape[axis] for part in node.meta["val"]]
    if piece.target is not operator.getitem or not _are_known(sizes):
        return
    index = piece.args[1]
    begin = sum(sizes[:index])
    with graph.inserting_before(piece):
        args = (node.args[0], axis, begin, begin + sizes[index])
        new = graph.call_function(torch.ops.aten.slice.Tensor, args)
    new.meta = dict(piece.meta)
    piece.replace_all_uses_with(new)
    graph.erase_node(piece)


def _are_known(sizes: Sequence[object]) -> bool:
    return all(isinstance(size, int) for size in sizes)
