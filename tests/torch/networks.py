"""Small networks for quantization-aware training, and the steps that every test needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as f

from edgecompile.core.integer import Rounding
from edgecompile.core.model import Model, Provenance
from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.torch import finish, freeze, prepare_qat
from tests.support.quantized import converted

IMAGE = (3, 12, 12)


class Residual(nn.Module):
    """Conv, BatchNorm with parameters of its own, an addition in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=1e-2, momentum=0.3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        y += x
        activated: Tensor = self.act(y)
        return activated


class Cnn(nn.Module):
    """Everything that small image networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU6(True))
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU())
        self.block = Residual(8)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.block(self.depthwise(self.stem(x))))
        scores: Tensor = self.head(self.drop(f.adaptive_avg_pool2d(x, 1).flatten(1)))
        return scores


class Joined(nn.Module):
    """A concatenation of two branches and of what both read."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, padding=1)
        self.right = nn.Conv2d(3, 4, 1)
        self.out = nn.Conv2d(11, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(torch.cat([f.relu(self.left(x)), 5 * self.right(x), x], 1))
        return y


class Function(nn.Module):
    """A convolution, then any function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x))


def trained(module: nn.Module, inputs: Tensor, steps: int = 4, batch: int = 8) -> fx.GraphModule:
    """`module` prepared, and trained a little on noise like `inputs`; in evaluation mode, ranges frozen."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    prepared = prepare_qat(module, inputs)
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        results = prepared(noise(inputs, batch))
        results = results if isinstance(results, tuple) else (results,)
        sum(result.square().mean() for result in results).backward()
        optimizer.step()
    freeze(prepared)
    return prepared.eval()


def noise(like: Tensor, batch: int) -> Tensor:
    return torch.randn(batch, *like.shape[1:])


def imported(module: nn.Module, inputs: Any) -> Model:
    """What the PyTorch frontend makes of a finished module, canonical."""
    exported = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
    assert exported is not None
    graph = exported.model
    return Pipeline(canonicalize_passes()).run(Model(graph, Provenance("test", "", graph.opset_imports[""])))[
        0
    ]


def in_integers(prepared: fx.GraphModule, inputs: Tensor, rounding: Rounding = "single") -> Model:
    """The finished network after all passes of a target with int8 activations."""
    return converted(imported(finish(prepared), (inputs,)), rounding)


def islands(model: Model) -> list[str]:
    """What the conversion says is computed in float."""
    return [note for note in model.notes if "in float" in note]
