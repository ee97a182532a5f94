"""Training a network on what another one says."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from edgecompile.errors import Problem, UsageError


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float = 4.0,
    weight: float = 0.5,
) -> Tensor:
    """The loss of a student that learns from labels and from a teacher; a scalar.

    weight · temperature² · KL(teacher || student), both softened by `temperature`, and (1 - weight) times
    the cross entropy with the labels (G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural
    network", 2015). temperature² keeps the size of the gradients. No gradient reaches the teacher, which
    for quantization-aware training is the float network in evaluation mode, under torch.no_grad().

    Logits are [N, C], `labels` holds N classes (int64). Raises UsageError (EC2343) for a temperature that is
    not positive or a weight outside of 0 to 1.
    """
    problems = []
    if not temperature > 0:
        problems.append(
            Problem("EC2343", f"temperature is {temperature}", "", "it divides", "give one above 0")
        )
    if not 0 <= weight <= 1:
        why = "it is the teacher's share"
        problems.append(Problem("EC2343", f"weight is {weight}", "", why, "give one from 0 to 1"))
    if problems:
        raise UsageError(*problems)
    taught = functional.kl_div(
        functional.log_softmax(student_logits / temperature, dim=1),
        functional.log_softmax(teacher_logits.detach() / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    told = functional.cross_entropy(student_logits, labels)
    return weight * temperature**2 * taught + (1 - weight) * told


def mutual_loss(own_logits: Tensor, other_logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of one of two networks that are trained together and learn from each other; a scalar.

    The cross entropy with the labels plus KL(other || own) (Y. Zhang et al., "Deep mutual learning", 2018).
    No gradient reaches the other network, which has a loss and an optimizer of its own:

        a, b = first(x), second(x)
        mutual_loss(a, b, labels).backward()
        mutual_loss(b, a, labels).backward()
    """
    taught = functional.kl_div(
        functional.log_softmax(own_logits, dim=1),
        functional.log_softmax(other_logits.detach(), dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return functional.cross_entropy(own_logits, labels) + taught
