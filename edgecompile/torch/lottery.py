"""Sparse training from an early state of the weights, in a training loop of one's own.

    tickets = LotteryTicket(module)              # remembers the weights; after some first epochs is better
    ...                                          # train
    tickets.rewind(share=0.2)                    # one weight in five goes, the others are what they were
    ...                                          # train again, tickets.apply() after each optimizer.step()

J. Frankle, M. Carbin, "The lottery ticket hypothesis" (2019); that an early state beats the first one is in
J. Frankle et al., "Linear mode connectivity and the lottery ticket hypothesis" (2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecompile.errors import Problem, UsageError


class LotteryTicket:
    """The weights of `module` as they are now, and which of them are left; all at first.

    Matrices and kernels take part, biases and normalizations do not.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._early = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        self.masks: dict[str, Tensor] = {
            name: torch.ones_like(weights, dtype=torch.bool)
            for name, weights in module.named_parameters()
            if weights.ndim > 1
        }

    @property
    def density(self) -> float:
        """The share of weights that are left."""
        left = sum(int(mask.sum()) for mask in self.masks.values())
        return left / sum(int(mask.numel()) for mask in self.masks.values())

    def rewind(self, share: float) -> None:
        """Drop `share` of the weights that are left, the smallest of the module, and rewind the others.

        Raises UsageError (EC2523) for a share outside of 0 to 1.
        """
        if not 0 <= share < 1:
            fix = "give a number from 0 to below 1"
            raise UsageError(Problem("EC2523", f"a share of {share:g} cannot be dropped", "", "", fix))
        weights = dict(self._module.named_parameters())
        left = torch.cat([weights[name].detach().abs()[mask] for name, mask in self.masks.items()])
        count = int(share * left.numel())
        if count:
            bar = left.kthvalue(count).values
            self.masks = {n: mask & (weights[n].detach().abs() > bar) for n, mask in self.masks.items()}
        self._module.load_state_dict(self._early)
        self.apply()

    def apply(self) -> None:
        """Set what was dropped to 0 again."""
        with torch.no_grad():
            for name, weights in self._module.named_parameters():
                if name in self.masks:
                    weights *= self.masks[name]
