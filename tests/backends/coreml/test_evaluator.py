"""The evaluator against PyTorch, on programs that Apple's own converter wrote.

What an operation of MIL computes is thus no opinion of the writer and the evaluator that they share.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.coreml.evaluator.evaluator import Evaluator
from edgecompile.backends.coreml.evaluator.program import Operation, Program, Result, read_program
from edgecompile.errors import InternalError
from tests.support.coreml import needs_coremltools

torch = pytest.importorskip("torch", reason='torch not found (pip install "edgecompile[torch]")')
pytestmark = [needs_coremltools, pytest.mark.filterwarnings("ignore")]

IMAGE = (2, 6, 8, 9)
nn = torch.nn


class Branches(nn.Module):  # type: ignore[name-defined,misc]
    """Modules and functions of one tensor side by side: a program is converted as fast as an operation."""

    def __init__(self, *branches: Callable[[Any], Any]) -> None:
        super().__init__()
        self.branches = branches
        self.held = nn.ModuleList(branch for branch in branches if isinstance(branch, nn.Module))

    def forward(self, x: Any) -> tuple[Any, ...]:
        return tuple(branch(x) for branch in self.branches)


class Sequence(nn.LSTM):  # type: ignore[name-defined,misc]
    """What an LSTM says after each step."""

    def forward(self, x: Any) -> Any:
        return super().forward(x)[0]


def interpolated(**arguments: Any) -> Callable[[Any], Any]:
    return lambda x: nn.functional.interpolate(x, mode="bilinear", **arguments)


FAMILIES: dict[str, tuple[tuple[int, ...], Callable[[], list[Callable[[Any], Any]]]]] = {
    "convolutions": (
        IMAGE,
        lambda: [
            nn.Conv2d(6, 8, 3, stride=2, padding=(1, 2), dilation=(1, 2), groups=2),
            nn.Conv2d(6, 6, 3, padding=1, groups=6),
            nn.Conv2d(6, 4, (4, 3), padding="same"),
            nn.ConvTranspose2d(6, 4, 3, stride=(2, 1), groups=2, dilation=(1, 2)),
            nn.Linear(9, 4),
            lambda x: x @ x.transpose(-1, -2),
        ],
    ),
    "signals and volumes": ((1, 6, 5, 4, 3), lambda: [nn.Conv3d(6, 4, 3, padding=1)]),
    "LSTM": ((5, 3, 4), lambda: [Sequence(4, 6)]),
    "bidirectional LSTM": (
        (5, 3, 4),
        lambda: [Sequence(4, 6, bidirectional=True)],
    ),
    "pools": (
        IMAGE,
        lambda: [
            nn.MaxPool2d(3, 2, 1),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            nn.AvgPool2d(3, 2, 1),
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            nn.AvgPool2d(2, 2, 0, ceil_mode=True, count_include_pad=False),
        ],
    ),
    "resizing": (
        IMAGE,
        lambda: [
            nn.Upsample(scale_factor=2),
            interpolated(scale_factor=2),
            interpolated(size=(13, 20), align_corners=True),
            interpolated(size=(12, 27)),
        ],
    ),
    "padding": (
        IMAGE,
        lambda: [
            nn.ReflectionPad2d((1, 2, 3, 0)),
            nn.ReplicationPad2d((1, 2, 3, 0)),
            nn.ConstantPad2d((1, 2, 3, 0), 1.5),
        ],
    ),
    "normalizations": (
        IMAGE,
        lambda: [nn.LayerNorm(9), nn.InstanceNorm2d(6, affine=True), nn.BatchNorm2d(6), nn.GroupNorm(2, 6)],
    ),
    "activations": (
        IMAGE,
        lambda: [
            nn.GELU(), nn.GELU("tanh"), nn.Hardsigmoid(), nn.ELU(0.7), nn.LeakyReLU(0.1), nn.PReLU(6),
            nn.SiLU(), nn.Softplus(), nn.Softsign(), nn.Mish(), nn.Softmax(1), nn.LogSoftmax(1), torch.erf,
            lambda x: torch.round(x * 4),
        ],
    ),
    "reductions": (
        IMAGE,
        lambda: [
            lambda x: torch.topk(x, 3, dim=1)[0],
            lambda x: torch.cumsum(x, 1),
            lambda x: torch.argmax(x, 1),
            lambda x: torch.logsumexp(x, 1),
            lambda x: torch.norm(x, dim=1),
            lambda x: x.mean((1, 2)),
            lambda x: x.amax(2),
        ],
    ),
    "movement": (
        IMAGE,
        lambda: [
            lambda x: x[:, [0, 5, 2]],
            lambda x: torch.gather(x, 1, (x > 0).long()),
            lambda x: x[:, 1:5:2, ::3, -4:],
            lambda x: x.repeat(1, 2, 1, 3),
            lambda x: torch.tril(x, 1),
            lambda x: torch.where(x > 0, x, x * 2),
            lambda x: torch.split(x, [2, 4], 1)[1],
        ],
    ),
    "depth to space": ((1, 12, 3, 4), lambda: [nn.PixelShuffle(2)]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_what_apple_writes_computes_what_pytorch_does(name: str) -> None:
    import coremltools

    torch.manual_seed(0)
    shape, make = FAMILIES[name]
    network, x = Branches(*make()).eval(), torch.randn(shape)
    with torch.no_grad():
        wanted = [tensor.numpy() for tensor in network(x)]
        traced = torch.jit.trace(network, x)
    converted = coremltools.convert(
        traced,
        inputs=[coremltools.TensorType(shape=shape)],
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS17,
        skip_model_load=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        converted.save(f"{folder}/net.mlpackage")
        program = read_program(Path(folder) / "net.mlpackage")
    for got, want in zip(Evaluator(program).run([x.numpy()]), wanted, strict=True):
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=0, atol=1e-5 * float(abs(want).max()))


def test_every_value_is_rounded_to_its_type() -> None:
    """1 + 2^-11 is no float16: it is the sum, but not what is stored."""
    border = Result("x", "float32", (1,))
    half = Operation("cast", "a", {"x": "x"}, {"dtype": "fp16"}, (Result("a", "float16", (1,)),))
    total = Operation("add", "b", {"x": "a", "y": "a"}, {}, (Result("b", "float16", (1,)),))
    program = Program((border,), (Result("b", "float32", (1,)),), (half, total))
    (got,) = Evaluator(program).run([np.array([1 + 2.0**-11], np.float32)])
    assert got == [2.0]
    (got,) = Evaluator(program).run([np.array([40000.0], np.float32)])
    assert got == [np.inf]


def test_unknown_operations_and_wrong_shapes_are_errors() -> None:
    border = Result("x", "float32", (2,))
    unknown = Operation("conjure", "layer 1", {"x": "x"}, {}, (Result("y", "float32", (2,)),))
    with pytest.raises(InternalError, match=r"EC1346.*'conjure'.*layer 1.*there is no function"):
        Evaluator(Program((border,), (border,), (unknown,))).run([np.zeros(2, np.float32)])
    wrong = Operation("relu", "layer 2", {"x": "x"}, {}, (Result("y", "float32", (3,)),))
    with pytest.raises(InternalError, match=r"layer 2.*declares \(3,\), the result is \(2,\)"):
        Evaluator(Program((border,), (border,), (wrong,))).run([np.zeros(2, np.float32)])
