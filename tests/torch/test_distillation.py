"""The loss of distillation, term by term."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from edgecompile.errors import UsageError
from edgecompile.torch import distillation_loss, mutual_loss

LABELS = torch.tensor([0, 2, 1, 1])


def logits(seed: int) -> torch.Tensor:
    return torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_without_the_teacher_it_is_cross_entropy() -> None:
    got = distillation_loss(logits(1), logits(2), LABELS, weight=0.0)
    torch.testing.assert_close(got, cross_entropy(logits(1), LABELS))


def test_a_student_like_its_teacher_has_only_the_labels_to_learn() -> None:
    assert distillation_loss(logits(1), logits(1) + 5, LABELS, weight=1.0).item() == pytest.approx(
        0, abs=1e-12
    )


def test_the_teachers_part_is_the_divergence_of_softened_scores() -> None:
    student, teacher = (torch.softmax(logits(seed) / 3, 1) for seed in (1, 2))
    want = 9 * (teacher * (teacher / student).log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(logits(1), logits(2), LABELS, 3.0, 1.0), want)


def test_gradients_are_those_of_differences() -> None:
    student = logits(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distillation_loss(x, logits(2), LABELS, 2.0, 0.7), student)


def test_a_hot_teacher_pulls_as_its_logits_do() -> None:
    """For a high temperature the gradient is (student - teacher) / (N · C), logits centred."""
    student, teacher = logits(1).requires_grad_(), logits(2)
    distillation_loss(student, teacher, LABELS, 1e4, 1.0).backward()
    off = student.detach() - teacher
    torch.testing.assert_close(student.grad, (off - off.mean(1, keepdim=True)) / 12, rtol=1e-3, atol=1e-4)


def test_no_gradient_reaches_the_teacher() -> None:
    teacher = logits(2).requires_grad_()
    distillation_loss(logits(1).requires_grad_(), teacher, LABELS).backward()
    assert teacher.grad is None


def test_both_wrong_numbers_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        distillation_loss(logits(1), logits(2), LABELS, temperature=0.0, weight=1.5)
    assert "EC2343] temperature is 0.0" in str(caught.value)
    assert "give one above 0" in str(caught.value)
    assert "weight is 1.5" in str(caught.value)
    assert "give one from 0 to 1" in str(caught.value)


def test_networks_that_teach_each_other_have_no_gradient_from_the_other() -> None:
    own = torch.tensor([[1.0, 2.0], [0.5, -1.0]], requires_grad=True)
    other = torch.tensor([[2.0, 0.0], [0.5, -1.0]], requires_grad=True)
    labels = torch.tensor([0, 1])
    loss = mutual_loss(own, other, labels)
    own_p, other_p = torch.softmax(own, 1), torch.softmax(other, 1)
    divergence = (other_p * (other_p / own_p).log()).sum(1).mean()
    expected = -own_p[torch.arange(2), labels].log().mean() + divergence
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert other.grad is None
    assert own.grad is not None
