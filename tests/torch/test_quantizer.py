"""Which tensors are rounded, and which share a scale."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as f

from edgecompile.torch import prepare_qat
from edgecompile.torch.fake_quantize import PerChannelWeights, PerTensorRange
from edgecompile.torch.operators import kind
from tests.torch.networks import IMAGE, Cnn, Function, Joined


def prepared(module: nn.Module, *shape: int) -> fx.GraphModule:
    return prepare_qat(module, torch.randn(2, *(shape or IMAGE)))


def called(model: fx.GraphModule, node: Any) -> nn.Module:
    found: nn.Module = model.get_submodule(str(node.target))
    return found


def rounded(model: fx.GraphModule) -> list[str]:
    """The operators whose results are rounded as activations, in the order of the graph."""
    found = []
    for node in model.graph.nodes:
        if node.op == "call_module" and isinstance(called(model, node), PerTensorRange):
            source = node.args[0]
            found.append(kind(source) or source.op)
    return found


def ranges(model: fx.GraphModule) -> int:
    return sum(isinstance(module, PerTensorRange) for module in model.modules())


def test_nothing_is_rounded_between_parts_of_one_operator() -> None:
    model = prepared(Cnn())
    assert rounded(model) == [
        *["placeholder", "hardtanh", "relu", "batch_norm", "relu", "adaptive_avg_pool2d", "linear"]
    ]


def test_weights_are_rounded_along_their_output_channels() -> None:
    model = prepared(Cnn())
    weights = [node for node in model.graph.nodes if kind(node) in ("conv2d", "linear")]
    modules = [called(model, node.args[1]) for node in weights]
    assert len(modules) == 4
    assert all(isinstance(module, PerChannelWeights) and module.axis == 0 for module in modules)


def test_what_a_concatenation_joins_shares_one_range() -> None:
    model = prepared(Joined())
    (join,) = [node for node in model.graph.nodes if kind(node) == "cat"]
    joined = [called(model, node) for node in join.args[0]]
    assert len(joined) == 3
    assert all(module is joined[0] for module in joined)
    assert rounded(model) == ["placeholder", "relu", "conv2d", "mul", "conv2d"]
    assert ranges(model) == 3  # the joined ones, the product's operand, the result


def test_moves_are_not_rounded_again() -> None:
    def moves(x: Tensor) -> Tensor:
        return f.max_pool2d(f.dropout(x, 0.5), 2).permute(0, 2, 3, 1).flatten(1)

    assert rounded(prepared(Function(moves))) == ["placeholder", "conv2d"]


def test_pieces_are_slices() -> None:
    def swap(x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        return torch.cat([right, left], 1)

    model = prepared(Function(swap))
    names = [kind(node) for node in model.graph.nodes]
    assert names.count("slice") == 2
    assert "chunk" not in names


def test_a_clamp_that_is_not_alone_is_an_operator_of_its_own() -> None:
    model = prepared(Function(lambda x: f.relu(x) + x))
    assert rounded(model) == ["placeholder", "conv2d", "relu", "add"]


def test_softmax_has_the_scale_of_probabilities() -> None:
    model = prepared(Function(lambda x: torch.softmax(x, 1)))
    last = [called(model, node) for node in model.graph.nodes if node.op == "call_module"][-1]
    assert isinstance(last, PerTensorRange)
    assert (last.scale.item(), last.zero_point.item()) == (1 / 256, -128)


def test_joined_probabilities_have_a_range_that_is_observed() -> None:
    model = prepared(Function(lambda x: torch.cat([torch.softmax(x, 1), 9 * x], 1) + 1))
    (join,) = [node for node in model.graph.nodes if kind(node) == "cat"]
    module = called(model, join.args[0][0])
    assert isinstance(module, PerTensorRange)
    assert not module.fixed


def test_operators_without_integer_form_are_left_alone() -> None:
    model = prepared(Function(lambda x: torch.exp(torch.cumsum(x, 1))))
    assert rounded(model) == ["placeholder", "conv2d"]


def test_integers_and_doubles_are_left_alone() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(12, 6)
            self.out = nn.Linear(6, 2)

        def forward(self, ids: Tensor) -> Tensor:
            y: Tensor = self.out(self.table(ids + 1))
            return y.double() + 1

    model = prepare_qat(Counting(), torch.tensor([[1, 2, 3], [4, 5, 6]]))
    assert rounded(model) == ["embedding", "linear"]
