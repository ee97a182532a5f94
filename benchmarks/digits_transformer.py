"""A small transformer that is trained in seconds to read the digits of scikit-learn, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.accuracy_tasks import Data
from edgecompile.demo import _data

if TYPE_CHECKING:
    import torch

NETWORK, SOURCE = "digits_transformer", "benchmarks.digits_transformer:trained_network"
# The 8 rows of 8 pixels of a picture are its tokens.
_TOKENS, _WIDTH, _HEADS, _BLOCKS = 8, 32, 4, 2
_EPOCHS = 40


def data() -> Data:
    """The pictures that it was not trained on."""
    _, pictures, _, digits = _data()
    return Data(
        len(digits),
        lambda unit: (pictures[unit].reshape(1, _TOKENS, -1),),
        lambda unit, outputs: int(outputs[0].argmax()) == int(digits[unit]),
        lambda outcomes: float(np.mean(outcomes)),
        lambda outputs: np.asarray(outputs[0].argmax()),
    )


def trained_network() -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """The network, trained, and an example of its input [1, 8, 8]."""
    import torch

    torch.manual_seed(0)
    # Its batches are too small to be shared.
    torch.set_num_threads(1)
    network = _network()
    learned, _, answers, _ = (torch.from_numpy(array) for array in _data())
    pictures = learned.reshape(-1, _TOKENS, 8)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(answers)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(pictures[batch]), answers[batch]).backward()
            optimizer.step()
    return network.eval(), (pictures[:1],)


def _network() -> torch.nn.Module:
    import torch
    from torch import nn

    class Attention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = (nn.Linear(_WIDTH, _WIDTH) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = (x.shape[0], _TOKENS, _HEADS, _WIDTH // _HEADS)
            q, k, v = (part(x).reshape(heads).transpose(1, 2) for part in (self.query, self.key, self.value))
            chances = torch.softmax(q @ k.transpose(2, 3) * heads[-1] ** -0.5, dim=-1)
            return self.out((chances @ v).transpose(1, 2).reshape(x.shape))

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.before_attention, self.before_layers = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
            self.attention = Attention()
            self.layers = nn.Sequential(
                nn.Linear(_WIDTH, 2 * _WIDTH), nn.GELU(), nn.Linear(2 * _WIDTH, _WIDTH)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.attention(self.before_attention(x))
            return x + self.layers(self.before_layers(x))

    class Reader(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Linear(8, _WIDTH)
            self.places = nn.Parameter(0.1 * torch.randn(1, _TOKENS, _WIDTH))
            self.blocks = nn.Sequential(*(Block() for _ in range(_BLOCKS)))
            self.normalization, self.head = nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.blocks(self.embedding(x) + self.places)
            return self.head(self.normalization(x).mean(1))

    return Reader()
