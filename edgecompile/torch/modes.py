"""BatchNorm and Dropout of an exported graph as modules again, so that train() and eval() reach them.

torch.export writes the mode into the arguments of these operators, once and for all.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from edgecompile.torch.operators import kind


class BatchNorm(nn.Module):
    """Normalization by the batch while training, by the running statistics otherwise, or when `frozen`."""

    kind = "batch_norm"

    def __init__(self, momentum: float, eps: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.frozen = False

    def forward(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor
    ) -> Tensor:
        """`x` [N, C, ...]; the others are [C], `mean` and `variance` are updated while training."""
        by_batch = self.training and not self.frozen
        return nn.functional.batch_norm(x, mean, variance, weight, bias, by_batch, self.momentum, self.eps)


class Dropout(nn.Module):
    """Any kind of dropout; nothing in evaluation mode."""

    kind = "dropout"

    def __init__(self, operator: Callable[[Tensor, float, bool], Tensor], share: float) -> None:
        super().__init__()
        self.operator = operator
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """`x`, any shape."""
        return self.operator(x, self.share, self.training)


def make_switchable(model: fx.GraphModule) -> None:
    """Replace the operators of a graph exported in training mode; drop the counters of batches."""
    for node in list(model.graph.nodes):
        name = kind(node)
        if name == "batch_norm" and len(node.args) == 9:
            x, weight, bias, mean, variance, _, momentum, eps, _ = node.args
            _replace(model, node, BatchNorm(momentum, eps), (x, weight, bias, mean, variance))
        elif name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
            _replace(model, node, Dropout(_operator(node), node.args[1]), node.args[:1])
        elif name == "add" and _counts_batches(node):
            model.graph.erase_node(node)
    model.graph.eliminate_dead_code()
    model.recompile()


def _operator(node: fx.Node) -> Callable[[Tensor, float, bool], Tensor]:
    """The operator of the node, but never in place: its operand may be rounded in between."""
    name = str(node.target).split(".")[1].removesuffix("_")
    found: Callable[[Tensor, float, bool], Tensor] = getattr(torch.ops.aten, name).default
    return found


def _counts_batches(node: fx.Node) -> bool:
    source = node.args[0]
    is_buffer = isinstance(source, fx.Node) and source.op == "get_attr" and not node.users
    return is_buffer and str(source.target).endswith("num_batches_tracked")


def _replace(
    model: fx.GraphModule, node: fx.Node, module: nn.Module, args: tuple[fx.node.Argument, ...]
) -> None:
    name = f"{node.name}_switchable"
    model.add_submodule(name, module)
    with model.graph.inserting_before(node):
        new = model.graph.call_module(name, args)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    model.graph.erase_node(node)
