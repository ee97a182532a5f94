"""Finishing: the parameters of the contract, the same numbers in torch, onnxruntime and the binary."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as f

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.integer import DOMAIN, ROUNDINGS, Rounding
from edgecompile.core.target import find_target
from edgecompile.errors import InputError, UsageError
from edgecompile.passes.edit import constant_of
from edgecompile.passes.matching import produced_by
from edgecompile.passes.prove import generate_inputs, run_model
from edgecompile.passes.quantize.interpreter import Interpreter
from edgecompile.torch import finish, prepare_qat
from edgecompile.torch.fake_quantize import PerTensorRange
from edgecompile.verify import verify_artifact
from tests.support.execute import execute
from tests.torch.networks import IMAGE, Cnn, Joined, imported, in_integers, islands, noise, trained

ONE = torch.zeros(1, *IMAGE)


class Mixer(nn.Module):
    """Products of rows, of two activations, and probabilities: [N, 5, 8] -> [N, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.out = nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        chances = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2), -1)
        return (x + self.out(f.gelu(chances @ self.value(x)))).mean(1)


class Twice(nn.Module):
    """One convolution that is used twice, with different statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.conv(f.relu(self.first(self.conv(x)))))
        return y


class Many(nn.Module):
    """What each function makes of the same convolution."""

    def __init__(self, *functions: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.functions = functions

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.conv(x)
        return tuple(function(y) for function in self.functions)


def convolution(*more: nn.Module, **options: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, **options), *more)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "cnn": (Cnn, ONE),
    "joined": (Joined, ONE),
    "mixer": (Mixer, torch.zeros(1, 5, 8)),
    "twice": (Twice, ONE),
    "same": (lambda: convolution(padding="same"), ONE),
    "weight-norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))),
        ONE,
    ),
    "norm-first": (
        lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(3)),
        ONE,
    ),
    "dense": (
        lambda: nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3)
        ),
        torch.zeros(1, 6),
    ),
    "series": (
        lambda: nn.Sequential(nn.Conv1d(3, 8, 3, stride=2), nn.BatchNorm1d(8, affine=False), nn.AvgPool1d(2)),
        torch.zeros(1, 3, 20),
    ),
    "tables": (
        lambda: Many(torch.sigmoid, torch.tanh, f.gelu, f.hardswish, f.leaky_relu, f.elu),
        ONE,
    ),
    "more tables": (
        lambda: Many(f.silu, f.hardsigmoid, f.mish, f.selu, torch.neg, lambda x: 1 - x / 3),
        ONE,
    ),
    "moves": (
        lambda: Many(
            lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
            lambda x: f.pad(f.interpolate(x, scale_factor=2.0), (1, 2, 0, 1)),
            lambda x: f.relu(f.max_pool2d(x, 2)).permute(0, 2, 3, 1),
            lambda x: torch.stack([x, x], 1)[:, 0, 1:3, ::2],
            lambda x: x.view(x.size(0), -1),
        ),
        ONE,
    ),
    "sums": (
        lambda: Many(
            lambda x: x - x.mean((2, 3), keepdim=True),
            lambda x: x * torch.sigmoid(f.adaptive_avg_pool2d(x, 1)),
            lambda x: f.relu(f.avg_pool2d(x, 3, 2, 1)),
            lambda x: f.adaptive_avg_pool2d(x, 3).clamp(-1, 1),
        ),
        ONE,
    ),
}


@pytest.fixture(scope="module")
def networks() -> Callable[[str], fx.GraphModule]:
    """A trained network by its name, made once."""
    made: dict[str, fx.GraphModule] = {}

    def network(name: str) -> fx.GraphModule:
        if name not in made:
            make, inputs = NETWORKS[name]
            torch.manual_seed(1)
            made[name] = trained(make(), inputs)
        return made[name]

    return network


def steps_apart(prepared: fx.GraphModule, inputs: Tensor) -> list[np.ndarray[Any, Any]]:
    """How far onnxruntime's outputs are from those of the prepared module, in steps of their scales."""
    model = imported(finish(prepared), (inputs,))
    with torch.no_grad():
        results = prepared(inputs)
    wanted = results if isinstance(results, tuple) else (results,)
    got = run_model(model, {model.inputs[0].name: inputs.numpy()})
    scales = [_last_scale(value) for value in model.graph.graph.outputs]
    return [np.abs(a - b.numpy()) / scale for a, b, scale in zip(got, wanted, scales, strict=True)]


def _last_scale(value: ir.Value) -> float:
    node = value.producer()
    while node is not None and node.op_type != "DequantizeLinear":
        assert node.inputs[0] is not None
        node = node.inputs[0].producer()
    assert node is not None
    scale = constant_of(node.inputs[1])
    assert scale is not None
    return float(scale)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_computes_what_was_trained(name: str, networks: Callable[[str], fx.GraphModule]) -> None:
    """But where the rounding of a bias or of a half goes the other way; a function may double such a step."""
    for steps in steps_apart(networks(name), noise(NETWORKS[name][1], 24)):
        assert steps.max() < (3.01 if name in ("mixer", "more tables") else 2.01)
        assert np.mean(steps > 0.5) < 0.03


@pytest.mark.parametrize("name", NETWORKS)
def test_everything_is_computed_in_integers(name: str, networks: Callable[[str], fx.GraphModule]) -> None:
    model = in_integers(networks(name), NETWORKS[name][1])
    assert islands(model) == []
    assert any(node.domain == DOMAIN for node in model.graph.graph)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", ["cnn", "mixer"])
def test_code_computes_the_integers_of_the_interpreter(
    name: str, rounding: Rounding, networks: Callable[[str], fx.GraphModule]
) -> None:
    model = in_integers(networks(name), NETWORKS[name][1], rounding)
    feed = generate_inputs(model.inputs, 3)
    for got, want in zip(execute(model, list(feed.values())), Interpreter(model).run(feed), strict=True):
        np.testing.assert_array_equal(got, want)


def stored(value: ir.Value | None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], ir.Node]:
    """Integers, scales and node of a dequantized constant, which must have no zero point or one of zeros."""
    node = produced_by(value, "DequantizeLinear")
    assert node is not None
    integers, scales = (constant_of(source) for source in node.inputs[:2])
    assert integers is not None
    assert scales is not None
    zero = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    assert zero is None or not zero.any()
    return integers, scales, node


def test_parameters_are_those_of_the_contract(networks: Callable[[str], fx.GraphModule]) -> None:
    model = imported(finish(networks("cnn")), (ONE,))
    seen = 0
    for node in model.graph.graph:
        if node.op_type == "QuantizeLinear":
            scale, zero = (constant_of(value) for value in node.inputs[1:3])
            assert scale is not None
            assert zero is not None
            assert (scale.dtype, scale.size, zero.dtype, zero.size) == (np.float32, 1, np.int8, 1)
        if node.op_type not in ("Conv", "Gemm"):
            continue
        seen += 1
        weights, scales, read = stored(node.inputs[1])
        assert (weights.dtype, scales.dtype) == (np.int8, np.float32)
        assert (scales.shape, read.attributes.get_int("axis", 1)) == ((len(weights),), 0)
        assert np.abs(weights.reshape(len(weights), -1)).max(1).tolist() == [127] * len(weights)
        bias, products, _ = stored(node.inputs[2])
        source = node.inputs[0]
        while produced_by(source, "DequantizeLinear") is None:
            assert source is not None
            source = source.producer().inputs[0]  # type: ignore[union-attr]
        input_scale = constant_of(produced_by(source, "DequantizeLinear").inputs[1])  # type: ignore[union-attr]
        assert input_scale is not None
        assert bias.dtype == np.int32
        np.testing.assert_allclose(products, scales * input_scale, rtol=1e-6)
    assert seen == 4


def test_moves_stay_on_the_scale_of_what_they_move(networks: Callable[[str], fx.GraphModule]) -> None:
    model = in_integers(networks("joined"), ONE)
    (join,) = [node for node in model.graph.graph if node.op_type == "Concat"]
    assert {value.dtype for value in join.inputs if value is not None} == {ir.DataType.INT8}
    assert len(join.inputs) == 3


@pytest.mark.parametrize("gamma", [[1.0, -2.0, 0.0, 1e-30]])
def test_batch_norm_with_any_gain_is_part_of_the_convolution(gamma: list[float]) -> None:
    """Negative, zero and tiny gains; the bias of a channel without weights still fits 32 bits."""
    module = convolution(nn.BatchNorm2d(4, eps=1e-3), bias=False)
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor(gamma))
        module[1].bias.fill_(50.0)
    prepared = trained(module, ONE, steps=2)
    (steps,) = steps_apart(prepared, noise(ONE, 16))
    assert steps.max() < 1.01
    assert np.mean(steps > 0.5) < 0.01
    assert islands(in_integers(prepared, ONE)) == []


def test_finish_changes_nothing_and_can_be_repeated() -> None:
    prepared = trained(Cnn(), ONE).train()
    before = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
    inputs = noise(ONE, 4)
    first, second = (finish(prepared)(inputs) for _ in range(2))
    assert torch.equal(first, second)
    assert prepared.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in prepared.state_dict().items())
    prepared(inputs).sum().backward()


def network_for_compile() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """What `edgecompile compile module:function` calls."""
    return finish(trained(Cnn(), ONE)), (ONE,)


def test_a_function_compiles_to_a_binary_that_verifies(tmp_path: Path) -> None:
    options = CompileOptions(find_target("host"))
    built = compile_model(f"{__name__}:network_for_compile", options, tmp_path / "net.edge")
    verification = verify_artifact(built.artifact).verification
    assert verification.max_error == verification.tolerance == 0.0
    assert not [note for note in built.report["notes"] if "in float" in note]
    names = " ".join(layer for step in built.artifact.manifest.steps for layer in step.layers)
    assert "stem.0/Conv" in names
    assert "head/Gemm" in names


def test_a_saved_program_can_be_read_by_another_process(tmp_path: Path) -> None:
    finished = finish(trained(convolution(nn.ReLU()), ONE))
    torch.export.save(torch.export.export(finished, (ONE,)), tmp_path / "net.pt2")
    script = (
        "from edgecompile.frontend.load import import_model\n"
        "from edgecompile.frontend.options import ImportOptions\n"
        "model = import_model('net.pt2', ImportOptions(trust_pickle=True))\n"
        "print(*(node.op_type for node in model.graph.graph))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split().count("DequantizeLinear") == 4
    assert done.stdout.split().count("QuantizeLinear") == 2


def test_finish_wants_a_prepared_module() -> None:
    with pytest.raises(UsageError, match=r"EC2342.*Cnn is not prepared for training.*prepare_qat first"):
        finish(Cnn())


def test_ranges_that_have_seen_nothing_are_all_named() -> None:
    with pytest.raises(InputError) as caught:
        finish(prepare_qat(convolution(nn.ReLU()), ONE))
    text = str(caught.value)
    assert "EC3341] a range is not known at 'input_1': no data has passed in training mode" in text
    assert "EC3341] a range is not known at '1/relu'" in text
    assert "run batches through it in training mode" in text


def test_training_that_diverged() -> None:
    prepared = trained(convolution(nn.BatchNorm2d(4)), ONE)
    with torch.no_grad():
        prepared.get_parameter("0.weight")[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match=r"EC3342\] a parameter is not finite at '0.weight'.*has diverged"):
        finish(prepared)


def test_a_range_that_diverged() -> None:
    prepared = prepare_qat(convolution(), ONE)
    prepared(torch.full((2, *IMAGE), torch.inf))
    with pytest.raises(InputError, match=r"EC3342\] the range of an activation is not finite at 'input_1'"):
        finish(prepared)
    assert any(isinstance(module, PerTensorRange) for module in prepared.modules())
