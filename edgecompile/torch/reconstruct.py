"""Choose the rounding of weights so that each block of a quantized network gives what the float one gives.

Block after block reads what the quantized network so far computes for the samples; its weights and biases are
learned until its outputs come close to those of the float network (Y. Li et al., "BRECQ: pushing the limit of
post-training quantization by block reconstruction", 2021). Scales stay what they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from edgecompile.passes.edit import constant_of
from edgecompile.passes.quantize.blocks import Block, Separated, find_blocks, most_samples, separate
from edgecompile.passes.quantize.calibrate import Calibrated, Progress
from edgecompile.passes.quantize.insert_quantization import Contraction
from edgecompile.passes.quantize.observe import Sample
from edgecompile.passes.quantize.parameters import Parameters
from edgecompile.torch.block_network import BlockNetwork, Roundings, Tensors, chunks, count_of
from edgecompile.torch.functional import require_supported
from edgecompile.torch.rounding import LearnedRounding
from edgecompile.torch.threads import one_thread

# Steps of learning for a block.
STEPS = 200
_SEED = 0
_MOST_SAMPLES, _CACHE_BYTES = 256, 1 << 30
# One of so many samples does not teach, but decides whether what was learned is taken.
_HELD_BACK = 8
_RATE = 0.1
# The regularizer: its weight, the share of steps without it, and its power at the start and at the end.
_REGULARIZER, _WARM_UP, _POWERS = 5.0, 0.2, (8.0, 2.0)


@dataclass(frozen=True)
class BlockLoss:
    """What reconstruction did for one block: the square error of its outputs over their square.

    `before` is that of the weights as they were, `after` that of the result, both on samples held back (on
    all of them where there are few).
    """

    name: str
    before: float
    after: float


@dataclass(frozen=True)
class _State:
    """What a block reads, in the float network and in the quantized one so far."""

    exact: Tensors
    rounded: Tensors


def reconstruct(
    calibrated: Calibrated,
    samples: Iterable[Sample],
    steps: int = STEPS,
    progress: Progress = lambda task, done, total: None,
) -> tuple[Calibrated, list[BlockLoss]]:
    """`calibrated` with other integers, at most one from the nearest, and other biases; and the gain.

    At most 256 samples are used, or as many as fit 1 GiB with what one block reads and writes. PyTorch
    computes on one thread: the same samples give the same integers, however many cores there are.

    Raises UnsupportedError (EC4391, EC4392) for an operator that cannot be differentiated.
    """
    separated = separate(calibrated)
    graph = separated.model.graph.graph
    require_supported(graph, "quantize without reconstruction")
    blocks = find_blocks(calibrated, separated.model)
    roundings = _roundings(calibrated)
    chosen, losses = dict(calibrated.contractions), []
    with one_thread():
        state = _first_state(samples, min(_MOST_SAMPLES, most_samples(blocks, _CACHE_BYTES)), roundings)
        for done, block in enumerate(blocks):
            progress("reconstructing", done, len(blocks))
            work = _Reconstruction(block, separated, chosen, roundings, state)
            if block.contractions:
                found, loss = work.solve(steps)
                chosen |= found
                losses.append(loss)
            state = work.state_behind(chosen, blocks[done + 1 :])
    progress("reconstructing", len(blocks), len(blocks))
    return replace(calibrated, contractions=chosen), losses


def _first_state(samples: Iterable[Sample], count: int, roundings: Roundings) -> _State:
    few = list(itertools.islice(iter(samples), count))
    exact = {name: torch.from_numpy(np.stack([sample[name] for sample in few])) for name in few[0]}
    return _State(exact, {n: roundings[n](t) if n in roundings else t for n, t in exact.items()})


def _roundings(calibrated: Calibrated) -> Roundings:
    """How tensors are rounded, by their names in the network that `separate` made."""
    named = dict(calibrated.scales.tensors)
    named |= {f"{name}/input_{i}": parameters for (name, i), parameters in calibrated.scales.joints.items()}
    return {name: _rounding(parameters) for name, parameters in named.items()}


def _rounding(parameters: Parameters) -> Callable[[Tensor], Tensor]:
    """Rounding to what is stored; the gradient is 1 inside of the range and 0 outside."""
    scale, zero, limits = parameters.scale, parameters.zero, np.iinfo(parameters.dtype)
    return lambda x: torch.fake_quantize_per_tensor_affine(x, scale, zero, int(limits.min), int(limits.max))


class _Reconstruction:
    """The work on one block; `chosen` are the weights of the network so far."""

    def __init__(
        self,
        block: Block,
        separated: Separated,
        chosen: Mapping[str, Contraction],
        roundings: Roundings,
        state: _State,
    ) -> None:
        inputs = {str(value.name) for value in block.inputs}
        self._block, self._separated, self._chosen = block, separated, chosen
        self._roundings, self._state = roundings, state
        self._inputs = {name: tensor for name, tensor in state.rounded.items() if name in inputs}
        exact = {name: tensor for name, tensor in state.exact.items() if name in inputs}
        self._network = BlockNetwork(block, exact)
        self._targets = self._network.run_all(exact, {}, {})
        self._powers = {name: _mean_square(tensor) for name, tensor in self._targets.items()}
        # Weights cannot make up for the rounding of what leaves the block.
        read = {value for node in block.nodes for value in node.inputs}
        last = {str(value.name) for value in block.outputs if value not in read}
        self._inner = {name: function for name, function in roundings.items() if name not in last}
        places = range(count_of(self._inputs))
        self._held_back = [i for i in places if i % _HELD_BACK == _HELD_BACK - 1] or [*places]
        self._teaching = [i for i in places if i not in self._held_back] or [*places]

    def solve(self, steps: int) -> tuple[dict[str, Contraction], BlockLoss]:
        """Learn the rounding of all weights; they stay what they were if that does not help."""
        first = {name: self._chosen[name] for name in self._block.contractions}
        before = self._error(first)
        learned = self._learn(steps, before)
        after = self._error(learned)
        if not after < before:
            return first, BlockLoss(self._block.name, before, before)
        return learned, BlockLoss(self._block.name, before, after)

    def state_behind(self, chosen: Mapping[str, Contraction], following: Sequence[Block]) -> _State:
        """What the blocks `following` read, of this one and of those before."""
        read = {str(value.name) for block in following for value in block.inputs}
        overrides = self._overrides({name: chosen[name] for name in self._block.contractions})
        results = self._network.run_all(self._inputs, overrides, self._roundings)
        exact, rounded = {**self._state.exact, **self._targets}, {**self._state.rounded, **results}
        return _State(
            {n: exact[n] for n in exact if n in read}, {n: rounded[n] for n in rounded if n in read}
        )

    def _learn(self, steps: int, before: float) -> dict[str, Contraction]:
        learners = {name: self._learner(name) for name in self._block.contractions}
        optimizer = torch.optim.Adam([t for one in learners.values() for t in one.variables], lr=_RATE)
        batches = _batches(self._teaching, self._network.batch)
        free = max(sum(one.count for one in learners.values()), 1)
        for step in range(steps):
            # The error is about 1 for the nearest integers, whatever the block.
            loss = self._loss(next(batches), self._soft_overrides(learners)) / (before or 1.0)
            power = _power(step / steps)
            if power is not None:
                undecided = sum(one.undecided(power) for one in learners.values())
                loss = loss + _REGULARIZER * undecided / free
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return {name: one.hardened() for name, one in learners.items()}

    def _learner(self, name: str) -> LearnedRounding:
        constants = {str(v.name): constant_of(v) for node in self._block.nodes for v in node.inputs if v}
        weights = constants[self._separated.weights[name]]
        assert weights is not None
        bias = constants.get(self._separated.biases.get(name, ""))
        return LearnedRounding(weights, bias, self._chosen[name])

    def _soft_overrides(self, learners: Mapping[str, LearnedRounding]) -> dict[str, Tensor]:
        weights = {self._separated.weights[name]: one.soft_weights() for name, one in learners.items()}
        return weights | {
            self._separated.biases[n]: one.soft_bias() for n, one in learners.items() if one.has_bias
        }

    def _overrides(self, chosen: Mapping[str, Contraction]) -> dict[str, Tensor]:
        weights = {
            self._separated.weights[name]: torch.from_numpy(c.weights.real()) for name, c in chosen.items()
        }
        biases = {self._separated.biases.get(name): c.bias for name, c in chosen.items()}
        return weights | {
            name: torch.from_numpy(bias.reshape(-1).astype(np.float32))
            for name, bias in biases.items()
            if name is not None and bias is not None
        }

    def _error(self, chosen: Mapping[str, Contraction]) -> float:
        """The loss on the samples held back."""
        overrides, places = self._overrides(chosen), self._held_back
        with torch.no_grad():
            parts = chunks(places, self._network.batch)
            errors = [len(part) * float(self._loss(part, overrides)) for part in parts]
        return sum(errors) / len(places)

    def _loss(self, places: Sequence[int], overrides: Tensors) -> Tensor:
        """The mean over outputs of the square error, as parts of their mean square."""
        results = self._network.run(self._inputs, places, overrides, self._inner)
        errors = [
            (results[name] - self._targets[name][places]).square().mean() / power
            for name, power in self._powers.items()
        ]
        return sum(errors) / len(errors)


def _mean_square(tensor: Tensor) -> float:
    return float(tensor.double().square().mean()) or 1.0


def _power(done: float) -> float | None:
    """The power of the regularizer when the share `done` of steps is; None while there is none."""
    if done < _WARM_UP:
        return None
    first, last = _POWERS
    falling = 0.5 * (1 + np.cos(np.pi * (done - _WARM_UP) / (1 - _WARM_UP)))
    return float(last + (first - last) * falling)


def _batches(places: Sequence[int], size: int) -> Iterator[list[int]]:
    """Samples in a random order that is always the same, again and again."""
    generator = np.random.default_rng(_SEED)
    stream = (places[i] for _ in itertools.count() for i in generator.permutation(len(places)))
    while True:
        yield list(itertools.islice(stream, size))
