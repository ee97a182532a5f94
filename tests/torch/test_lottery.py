"""Rewinding to early weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecompile.errors import UsageError
from edgecompile.torch.lottery import LotteryTicket


def test_the_largest_weights_are_rewound_and_the_others_are_gone() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    early = [layer.weight.detach().clone() for layer in module]
    tickets = LotteryTicket(module)
    assert tickets.density == 1.0
    with torch.no_grad():
        module[0].weight.copy_(torch.arange(16.0).reshape(4, 4) + 1)
        module[1].weight.fill_(100.0)
        module[0].bias.fill_(7.0)
    tickets.rewind(0.25)
    assert tickets.density == 0.75
    assert (module[0].weight.flatten()[:6] == 0).all()
    assert torch.equal(module[0].weight.flatten()[6:], early[0].flatten()[6:])
    assert torch.equal(module[1].weight, early[1])
    assert not (module[0].bias == 7).any()


def test_what_is_gone_stays_gone_and_more_can_go() -> None:
    torch.manual_seed(0)
    module = nn.Linear(8, 8)
    tickets = LotteryTicket(module)
    tickets.rewind(0.5)
    with torch.no_grad():
        module.weight += 1.0
    tickets.apply()
    assert int((module.weight == 0).sum()) == 32
    tickets.rewind(0.5)
    assert tickets.density == 0.25


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(UsageError, match="EC2523"):
        LotteryTicket(nn.Linear(2, 2)).rewind(share)
