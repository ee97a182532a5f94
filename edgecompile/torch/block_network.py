"""One block of a network as a function of samples, several of them at once where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from edgecompile.passes.edit import static_shape
from edgecompile.passes.quantize.blocks import Block
from edgecompile.torch.functional import constants, run

# Tensors by name, all samples along a new leading axis.
Tensors = Mapping[str, Tensor]
# What becomes of tensors, by name, as soon as they are computed.
Roundings = Mapping[str, Callable[[Tensor], Tensor]]

# A run takes samples whose tensors in the block have about so many elements, and at most so many samples.
_ELEMENTS_AT_ONCE, _LARGEST_BATCH = 1 << 21, 32


class BlockNetwork:
    """`block`, whose samples are joined along the leading axis if that gives what they give one by one.

    `examples` are inputs of the block. `batch` is a good number of samples for one run.
    """

    def __init__(self, block: Block, examples: Tensors) -> None:
        self.outputs = [str(value.name) for value in block.outputs]
        self.batch = min(max(_ELEMENTS_AT_ONCE // max(block.size, 1), 1), _LARGEST_BATCH)
        self._nodes = block.nodes
        self._shapes = {str(value.name): static_shape(value) or () for value in block.outputs}
        self._constants = constants(block.nodes)
        self._joins = False
        self._joins = self._can_join(examples)

    def run(
        self, inputs: Tensors, places: Sequence[int], overrides: Tensors, roundings: Roundings
    ) -> dict[str, Tensor]:
        """The outputs for the samples at `places`, in their order; see `functional.run` for the others."""
        if not self._joins and len(places) > 1:
            each = [self.run(inputs, [place], overrides, roundings) for place in places]
            return {name: torch.cat([one[name] for one in each]) for name in self.outputs}
        feeds = {
            name: tensor[places].flatten(0, 1) if self._joins else tensor[places[0]]
            for name, tensor in inputs.items()
        }
        results = run(self._nodes, {**self._constants, **feeds}, overrides, self.outputs, roundings)
        return {name: results[name].reshape(len(places), *self._shapes[name]) for name in self.outputs}

    def run_all(self, inputs: Tensors, overrides: Tensors, roundings: Roundings) -> dict[str, Tensor]:
        """The outputs for all samples, without gradients."""
        places = range(count_of(inputs))
        with torch.no_grad():
            parts = [self.run(inputs, p, overrides, roundings) for p in chunks(places, self.batch)]
        return {name: torch.cat([part[name] for part in parts]) for name in self.outputs}

    def _can_join(self, examples: Tensors) -> bool:
        if count_of(examples) < 2 or any(tensor.ndim < 2 for tensor in examples.values()):
            return False
        two = {name: tensor[:2] for name, tensor in examples.items()}
        one_by_one = self.run_all(two, {}, {})
        self._joins = True
        try:
            with torch.no_grad():
                joined = self.run(two, [0, 1], {}, {})
        except RuntimeError:  # shapes that do not fit
            return False
        return all(_close(joined[name], one_by_one[name]) for name in self.outputs)


def count_of(tensors: Tensors) -> int:
    """How many samples there are."""
    return len(next(iter(tensors.values()), ()))


def chunks(places: Sequence[int], size: int) -> list[list[int]]:
    """`places` in parts of at most `size`."""
    return [[*places[start : start + size]] for start in range(0, len(places), size)]


def _close(first: Tensor, second: Tensor) -> bool:
    """Whether the tensors are equal but for the order of sums."""
    size = float(second.double().abs().max()) if second.numel() else 0.0
    return bool(torch.allclose(first.double(), second.double(), rtol=1e-3, atol=1e-4 * size))
