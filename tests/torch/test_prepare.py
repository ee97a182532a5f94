"""Preparing: a copy that trains like the module it was made of, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgecompile.errors import UnsupportedError, UsageError
from edgecompile.torch import freeze, prepare_qat
from edgecompile.torch.fake_quantize import PerTensorRange
from edgecompile.torch.modes import BatchNorm
from tests.torch.networks import IMAGE, Cnn, noise, trained


class Branchy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Reshaping(nn.Module):
    """Only good for batches of one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x).view(2, 100)
        return y


def without_rounding(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if hasattr(module, "disable_fake_quant"):
            module.disable_fake_quant()
    return model


@pytest.mark.parametrize("training", [True, False])
def test_without_rounding_it_is_the_module(training: bool) -> None:
    """Also the parameters of BatchNorm: its momentum, its epsilon, what it remembers."""
    module = Cnn()
    module.drop.p = 0.0
    inputs = noise(torch.zeros(1, *IMAGE), 8)
    prepared = without_rounding(prepare_qat(module, inputs[:1])).train(training)
    module.train(training)
    for _ in range(2):
        torch.testing.assert_close(prepared(inputs), module(inputs))
    buffers = dict(prepared.named_buffers())
    for name, buffer in module.named_buffers():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(buffers[name], buffer)


def test_training_leaves_the_module_alone() -> None:
    module = Cnn().eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    prepared = trained(module, torch.randn(1, *IMAGE))
    assert not module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    changed = prepared.get_parameter("stem.0.weight")
    assert not torch.equal(changed, before["stem.0.weight"])
    assert {name for name, _ in prepared.named_parameters()} == {
        name for name, _ in module.named_parameters()
    }


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_size_of_batch(batch: int) -> None:
    prepared = prepare_qat(Cnn(), torch.randn(1, *IMAGE)).eval()
    assert prepared(torch.randn(batch, *IMAGE)).shape == (batch, 10)


def test_a_module_for_one_size_of_batch() -> None:
    prepared = prepare_qat(Reshaping(), torch.randn(1, *IMAGE))
    assert prepared(torch.randn(1, *IMAGE)).shape == (2, 100)


def test_inputs_by_name() -> None:
    prepared = prepare_qat(Cnn(), {"x": torch.randn(1, *IMAGE)}).eval()
    assert prepared(x=torch.randn(3, *IMAGE)).shape == (3, 10)


def test_dropout_obeys_the_mode() -> None:
    prepared = prepare_qat(Cnn(), torch.randn(1, *IMAGE))
    inputs = torch.randn(16, *IMAGE)
    prepared(inputs)
    assert not torch.equal(prepared(inputs), prepared(inputs))
    prepared.eval()
    assert torch.equal(prepared(inputs), prepared(inputs))


def test_freeze_stops_what_it_says() -> None:
    prepared = prepare_qat(Cnn(), torch.randn(1, *IMAGE))
    inputs = torch.randn(8, *IMAGE)

    def state() -> tuple[list[float], list[float]]:
        modules = list(prepared.modules())
        means = [buffer.sum().item() for name, buffer in prepared.named_buffers() if "running" in name]
        return means, [module.high.item() for module in modules if isinstance(module, PerTensorRange)]

    prepared(inputs)
    for batch_norm, ranges in ((True, False), (True, True), (False, True), (False, False)):
        freeze(prepared, batch_norm=batch_norm, ranges=ranges)
        before = state()
        prepared(3 * inputs)
        after = state()
        assert (before[0] == after[0]) == batch_norm
        assert (before[1] == after[1]) == ranges
    assert any(isinstance(module, BatchNorm) for module in prepared.modules())


def test_the_state_goes_into_a_new_copy() -> None:
    prepared = trained(Cnn(), torch.randn(1, *IMAGE))
    other = prepare_qat(Cnn(), torch.randn(1, *IMAGE)).eval()
    other.load_state_dict(prepared.state_dict())
    inputs = torch.randn(4, *IMAGE)
    assert torch.equal(other(inputs), prepared(inputs))


def test_another_recipe() -> None:
    with pytest.raises(UsageError, match=r"EC2341.*no recipe 'int9'.*did you mean 'int8'\?"):
        prepare_qat(Cnn(), torch.randn(1, *IMAGE), recipe="int9")


def test_a_module_that_cannot_be_exported() -> None:
    with pytest.raises(UnsupportedError) as caught:
        prepare_qat(Branchy(), torch.randn(2, 3))
    text = str(caught.value)
    line = 1 + Path(__file__).read_text().splitlines().index("        return x if x.sum() > 0 else -x")
    assert f"EC4131] torch cannot export 'Branchy' at '{os.path.basename(__file__)}:{line}'" in text
    assert "torch.export.export(module, inputs) must succeed" in text


def test_a_module_with_nothing_to_quantize() -> None:
    with pytest.raises(
        UnsupportedError, match=r"EC4341.*nothing to quantize at 'Softplus'.*form in integers"
    ):
        prepare_qat(nn.Softplus(), torch.randn(2, 3))


def test_freeze_wants_a_prepared_module() -> None:
    with pytest.raises(UsageError, match=r"EC2342.*Cnn is not prepared.*prepare_qat first"):
        freeze(Cnn())
