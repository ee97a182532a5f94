"""PyTorch networks of the common kinds, small and seeded; each function is what `compile` takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as f

Network = tuple[nn.Module, tuple[Tensor, ...]]


class SqueezeExcite(nn.Module):
    """An inverted-residual block with squeeze-and-excite and SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 5, padding=2, groups=2 * channels)
        self.squeeze = nn.Conv2d(2 * channels, 4, 1)
        self.excite = nn.Conv2d(4, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = f.silu(self.depthwise(f.silu(self.norm(self.expand(x)))))
        gate = torch.sigmoid(self.excite(f.silu(self.squeeze(f.adaptive_avg_pool2d(wide, 1)))))
        return x + self.project(wide * gate)


class Encoder(nn.Module):
    """Token embedding, one transformer layer, the first token's class."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layer(self.embedding(tokens))[:, 0])
        return scores


class UNet(nn.Module):
    """Down, up by a transposed convolution and by bilinear interpolation, with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.middle = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.out = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = f.relu(self.down(x))
        coarse = f.relu(self.middle(fine))
        joined = torch.cat([self.up(coarse), fine], 1)
        return f.interpolate(self.out(joined), scale_factor=2.0, mode="bilinear", align_corners=False)


class Recurrent(nn.Module):
    """A two-layer recurrent network and a classifier of its last step; the state is an output too."""

    def __init__(self, kind: Callable[..., nn.Module], directions: int) -> None:
        super().__init__()
        self.cells = kind(6, 12, num_layers=2, batch_first=True, bidirectional=directions == 2)
        self.head = nn.Linear(12 * directions, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, state = self.cells(x)
        return self.head(y[:, -1]), state[0] if isinstance(state, tuple) else state


def _ready(module: nn.Module, *inputs: Tensor) -> Network:
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            assert child.running_mean is not None
            assert child.running_var is not None
            child.running_mean.uniform_(-0.2, 0.2)
            child.running_var.uniform_(0.5, 1.5)
    return module.eval(), inputs


def squeeze_excite() -> Network:
    torch.manual_seed(1)
    return _ready(nn.Sequential(SqueezeExcite(8), SqueezeExcite(8)), torch.randn(1, 8, 12, 12))


def encoder() -> Network:
    torch.manual_seed(2)
    return _ready(Encoder(), torch.randint(0, 50, (1, 9)))


def unet() -> Network:
    torch.manual_seed(3)
    return _ready(UNet(), torch.randn(1, 3, 16, 16))


def bidirectional_lstm() -> Network:
    torch.manual_seed(4)
    return _ready(Recurrent(nn.LSTM, 2), torch.randn(1, 7, 6))


def gru() -> Network:
    torch.manual_seed(5)
    return _ready(Recurrent(nn.GRU, 1), torch.randn(1, 7, 6))
