"""A pruned network that learns from the unpruned one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import InputError, UnsupportedError
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.quantize.observe import Executor
from edgecompile.torch.finetune import Training, finetune
from tests.passes.prune.importance.networks import convolutions, dense, inner_group, noise
from tests.support.graphs import model as parsed

Array = np.ndarray[Any, Any]
rng = np.random.default_rng(13)


def outputs(model: Model, samples: list[dict[str, Array]]) -> Array:
    execute = Executor(model)
    return np.concatenate([execute(sample)["y"] for sample in samples])


def test_the_student_comes_closer_to_the_teacher() -> None:
    teacher = convolutions(
        rng.standard_normal((6, 2, 3, 3)), np.zeros(6), rng.standard_normal((3, 6, 1, 1)) * 0.3
    )
    student = cut(teacher, {inner_group(teacher).name: [0, 1, 2, 3]})
    samples, others = noise(teacher, 64), noise(teacher, 16, seed=5)
    trained, losses = finetune(teacher, student, samples, Training(epochs=15, rate=1e-2))
    assert len(losses) == 16
    assert min(losses) < 0.7 * losses[0]
    wanted = outputs(teacher, others)
    before, after = (((outputs(m, others) - wanted) ** 2).mean() for m in (student, trained))
    assert after < 0.8 * before
    again, _ = finetune(teacher, student, samples, Training(epochs=15, rate=1e-2))
    assert again.to_bytes() == trained.to_bytes()


def test_labels_teach_as_well() -> None:
    """The teacher is always wrong, the labels are right."""
    teacher = dense(np.eye(4), np.zeros(4), rng.standard_normal((4, 2)))
    samples = noise(teacher, 96)
    labels = [int(sample["x"][0, 0] > 0) for sample in samples]
    training = Training(epochs=40, rate=0.1, weight=0.1)
    trained, _ = finetune(teacher, teacher, samples, training, labels)
    right = [(outputs(m, samples).argmax(1) == labels).mean() for m in (teacher, trained)]
    assert right[1] > max(0.9, right[0] + 0.2)


def test_a_rate_that_ruins_everything_changes_nothing() -> None:
    teacher = dense(rng.standard_normal((4, 6)), np.ones(6), rng.standard_normal((6, 3)))
    student = dense(*(rng.standard_normal(shape) for shape in ((4, 5), (5,), (5, 3))))
    trained, losses = finetune(teacher, student, noise(teacher, 32), Training(epochs=2, rate=100.0))
    assert min(losses[1:]) > losses[0]
    assert trained.to_bytes() == student.to_bytes()


def test_labels_and_samples_belong_together() -> None:
    teacher = dense(np.eye(2), np.zeros(2), np.eye(2))
    with pytest.raises(InputError, match=r"EC3521.*3 labels and 4 samples"):
        finetune(teacher, teacher, noise(teacher, 4), labels=[0, 1, 0])


def test_what_cannot_be_differentiated_is_named() -> None:
    model = parsed("g (float[2, 3] x) => (float[2, 3] y) { y = Hardmax(x) }", typed=True)
    with pytest.raises(UnsupportedError, match=r"EC4391.*Hardmax.*without training"):
        finetune(model, model, [{"x": np.zeros((2, 3), np.float32)}])
