"""Train a pruned network to say what the unpruned one says.

Both are ONNX graphs and are executed by the functional interpreter, so this works for any network whose
operators it knows, wherever it came from. Without labels the student learns the teacher's logits by the
square error (J. Ba, R. Caruana, "Do deep nets really need to be deep?", 2014), with labels by
`distillation_loss`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgecompile.core.model import Model
from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import constant_of
from edgecompile.passes.logits import logits_of
from edgecompile.passes.quantize.blocks import Block, free_leading_axis
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.observe import Sample
from edgecompile.torch.block_network import BlockNetwork, Tensors, chunks, count_of
from edgecompile.torch.distillation import distillation_loss
from edgecompile.torch.functional import constants, require_supported
from edgecompile.torch.threads import one_thread

# One of so many samples does not teach, but decides which epoch's weights are taken.
_HELD_BACK = 8
_TRAINED = (
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "BatchNormalization",
    "LayerNormalization",
)
_STATISTICS = (3, 4)


@dataclass(frozen=True)
class Training:
    """How to train: Adam, whose `rate` falls to 0 along a cosine, for so many `epochs` of batches of `batch`.

    `temperature` and `weight` are those of `distillation_loss`, of use with labels only.
    """

    epochs: int = 20
    rate: float = 1e-3
    batch: int = 32
    temperature: float = 4.0
    weight: float = 0.5
    seed: int = 0


def finetune(
    teacher: Model,
    student: Model,
    samples: Iterable[Sample],
    training: Training | None = None,
    labels: Sequence[int] | None = None,
    progress: Progress = lambda task, done, total: None,
) -> tuple[Model, list[float]]:
    """`student` with trained weights, and its loss on held-back samples before and after each epoch.

    The weights are those of the epoch with the least such loss, maybe those that it had. `labels` are
    classes, one a sample. PyTorch computes on one thread, so that the same samples give the same weights.

    Raises UnsupportedError (EC4391, EC4392) for an operator that cannot be differentiated, InputError
    (EC3521) for labels of another number than samples.
    """
    training = training or Training()
    result = _any_batch(student)
    with one_thread():
        inputs = _stacked(list(samples))
        if labels is not None and len(labels) != count_of(inputs):
            why = f"there are {len(labels)} labels and {count_of(inputs)} samples"
            raise InputError(Problem("EC3521", "labels and samples do not belong together", "", why))
        wanted = _network(_any_batch(teacher), inputs).run_all(inputs, {}, {})
        work = _Work(result, inputs, [*wanted.values()], labels, training)
        losses = work.train(progress)
        work.store()
    return _with_values(student, result), losses


def check_trainable(model: Model) -> None:
    """Raise UnsupportedError (EC4391, EC4392) for an operator that cannot be differentiated."""
    require_supported(list(model.graph.graph), "prune without training")


class _Work:
    """The training of one student on what the teacher said, `wanted`, one tensor an output."""

    def __init__(
        self,
        student: Model,
        inputs: Tensors,
        wanted: Sequence[Tensor],
        labels: Sequence[int] | None,
        training: Training,
    ) -> None:
        self._student, self._inputs, self._training = student, inputs, training
        self._network, self._wanted = _network(student, inputs), wanted
        self._powers = [float(tensor.square().mean()) or 1.0 for tensor in wanted]
        self._labels = None if labels is None else torch.tensor(list(labels))
        found = constants(list(student.graph.graph))
        self._variables = {name: found[name].requires_grad_() for name in _trained(student)}
        self._best = {name: tensor.detach().clone() for name, tensor in self._variables.items()}
        places = range(count_of(inputs))
        self._held_back = [i for i in places if i % _HELD_BACK == _HELD_BACK - 1] or [*places]
        self._teaching = [i for i in places if i not in set(self._held_back)] or [*places]

    def train(self, progress: Progress) -> list[float]:
        settings, generator = self._training, np.random.default_rng(self._training.seed)
        optimizer = torch.optim.Adam(list(self._variables.values()), lr=settings.rate)
        steps = -(-len(self._teaching) // settings.batch) * settings.epochs
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
        losses = [self._held_back_loss()]
        for epoch in range(settings.epochs):
            progress("distilling", epoch, settings.epochs)
            order = [self._teaching[i] for i in generator.permutation(len(self._teaching))]
            for places in chunks(order, settings.batch):
                optimizer.zero_grad()
                self._loss(places).backward()
                optimizer.step()
                schedule.step()
            losses.append(self._held_back_loss())
            if losses[-1] <= min(losses):
                self._best = {name: tensor.detach().clone() for name, tensor in self._variables.items()}
        progress("distilling", settings.epochs, settings.epochs)
        return losses

    def store(self) -> None:
        """Give the student the best weights."""
        for name, tensor in self._best.items():
            value = self._student.graph.graph.initializers[name]
            value.const_value = ir.tensor(tensor.numpy().copy(), name=name)

    def _held_back_loss(self) -> float:
        parts = chunks(self._held_back, self._training.batch)
        with torch.no_grad():
            total = sum(len(part) * float(self._loss(part)) for part in parts)
        return total / len(self._held_back)

    def _loss(self, places: Sequence[int]) -> Tensor:
        results = self._network.run(self._inputs, places, self._variables, {})
        outputs = list(results.values())
        if self._labels is not None:
            said, taught = (
                tensor.reshape(len(places), -1) for tensor in (outputs[0], self._wanted[0][places])
            )
            settings = self._training
            return distillation_loss(
                said, taught, self._labels[places], settings.temperature, settings.weight
            )
        errors = [
            (output - wanted[places]).square().mean() / power
            for output, wanted, power in zip(outputs, self._wanted, self._powers, strict=True)
        ]
        return torch.stack(errors).mean()


def _network(model: Model, inputs: Tensors) -> BlockNetwork:
    graph = model.graph.graph
    check_trainable(model)
    return BlockNetwork(Block(tuple(graph), tuple(graph.inputs), tuple(logits_of(model)), ()), inputs)


def _any_batch(model: Model) -> Model:
    """A copy whose Reshapes take any number of samples."""
    copy = model.copy()
    for node in copy.graph.graph:
        free_leading_axis(copy.graph.graph, node)
    return copy


def _with_values(model: Model, trained: Model) -> Model:
    """A copy of `model` with the constants of `trained`, which has the same names."""
    copy = model.copy()
    for name in _trained(copy):
        copy.graph.graph.initializers[name].const_value = trained.graph.graph.initializers[name].const_value
    return copy


def _trained(model: Model) -> list[str]:
    """The constants that training changes: weights, biases, scales; statistics of BatchNormalization stay."""
    found: dict[str, None] = {}
    for node in model.graph.graph:
        if node.domain or node.op_type not in _TRAINED:
            continue
        for index, value in enumerate(node.inputs):
            array = constant_of(value)
            statistics = node.op_type == "BatchNormalization" and index in _STATISTICS
            if array is not None and array.dtype == np.float32 and array.ndim and not statistics:
                assert value is not None
                found[str(value.name)] = None
    return list(found)


def _stacked(samples: Sequence[Sample]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}
