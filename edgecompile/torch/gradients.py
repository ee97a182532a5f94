"""Gradients of a network by its constants, for the criteria of pruning that ask for them; no labels needed.

The scalar that is differentiated is a random projection of the outputs: a sum of all of them with random
signs, relative to their size. The mean of squared gradients over projections is the diagonal of J^T J, with
J the derivative of the outputs (M. Hutchinson, "A stochastic estimator of the trace of the influence
matrix", 1990).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgecompile.core.model import Model
from edgecompile.passes.logits import logits_of
from edgecompile.torch.functional import constants, require_supported, run

Array = np.ndarray[Any, Any]
_FIX = "use a method that needs no gradients, such as reconstruction"


@dataclass(frozen=True)
class ProjectedGradients:
    """Implements `Gradients` of passes/prune/importance through the functional interpreter.

    Each sample is projected `projections` times. Training, for movement, is gradient descent at `rate`, one
    sample a step; it teaches the network its own decisions, or `labels` (classes, one a sample) where given.

    Both raise UnsupportedError (EC4391, EC4392) for an operator that cannot be differentiated.
    """

    projections: int = 4
    rate: float = 1e-3
    seed: int = 0
    labels: Sequence[int] | None = None

    def fixed(
        self, model: Model, names: Sequence[str], samples: Iterable[Mapping[str, Array]]
    ) -> Iterator[dict[str, Array]]:
        """The gradient of each projection for each sample."""
        network, generator = _Network(model), torch.Generator().manual_seed(self.seed)
        variables = network.variables(names)
        for sample in samples:
            outputs = network(sample, variables)
            for _ in range(self.projections):
                scalar = sum(_projection(output, generator) for output in outputs)
                gradients = torch.autograd.grad(
                    scalar, list(variables.values()), retain_graph=True, materialize_grads=True
                )
                yield _arrays(variables, gradients)

    def trained(
        self, model: Model, names: Sequence[str], samples: Iterable[Mapping[str, Array]]
    ) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        """The constants and their gradients at each step."""
        network = _Network(model)
        variables = network.variables(names)
        for number, sample in enumerate(samples):
            logits = network(sample, variables)[0]
            logits = logits.reshape(-1, logits.shape[-1])
            wanted = logits.argmax(1) if self.labels is None else torch.tensor([self.labels[number]])
            loss = functional.cross_entropy(logits, wanted)
            gradients = torch.autograd.grad(loss, list(variables.values()), materialize_grads=True)
            yield _arrays(variables, list(variables.values())), _arrays(variables, gradients)
            with torch.no_grad():
                for variable, gradient in zip(variables.values(), gradients, strict=True):
                    variable -= self.rate * gradient


class _Network:
    """`model` as a function of one sample and the constants that vary; it returns the logits."""

    def __init__(self, model: Model) -> None:
        self._nodes = list(model.graph.graph)
        require_supported(self._nodes, _FIX)
        self._constants = constants(self._nodes)
        self._outputs = [str(value.name) for value in logits_of(model)]

    def variables(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Copies of the constants `names` that can be differentiated by."""
        return {name: self._constants[name].clone().requires_grad_() for name in names}

    def __call__(self, sample: Mapping[str, Array], variables: Mapping[str, Tensor]) -> list[Tensor]:
        feeds = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in sample.items()}
        results = run(self._nodes, {**self._constants, **feeds}, variables, self._outputs)
        return [results[name] for name in self._outputs]


def _projection(output: Tensor, generator: torch.Generator) -> Tensor:
    signs = torch.randint(0, 2, output.shape, generator=generator).to(output.dtype) * 2 - 1
    return (signs * output).sum() / output.detach().norm().clamp_min(1e-12)


def _arrays(variables: Mapping[str, Tensor], tensors: Sequence[Tensor]) -> dict[str, Array]:
    return {name: tensor.detach().numpy().copy() for name, tensor in zip(variables, tensors, strict=True)}
