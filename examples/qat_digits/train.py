"""Train a network on handwritten digits, again with the rounding of 8 bits, and compile it for this machine.

The data are scikit-learn's digits, which ship with that package: 1797 pictures of 8 x 8 pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.execute import CompiledNetwork
from edgecompile.torch import distillation_loss, finish, freeze, prepare_qat
from edgecompile.verify import verify_artifact

SEED = 7
BATCH = 64


class Data:
    """Pictures [N, 1, 8, 8] in 0..1 and digits [N], to train with and to score with."""

    def __init__(self) -> None:
        digits = load_digits()
        pictures = torch.tensor(digits.images[:, None] / 16.0, dtype=torch.float32)
        parts = train_test_split(
            pictures, torch.tensor(digits.target), test_size=0.25, random_state=SEED, stratify=digits.target
        )
        self.train, self.test, self.train_digits, self.test_digits = parts


def network() -> nn.Module:
    """Few channels, so that rounding is felt; the one in the middle is depthwise."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.Conv2d(6, 12, 1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU6(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 10),
    )


def fit(module: nn.Module, data: Data, epochs: int, rate: float, teacher: nn.Module | None = None) -> None:
    """Train `module`; with a teacher, half of the loss is what that says."""
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    for epoch in range(epochs):
        module.train()
        if teacher is not None and epoch == epochs // 2:
            freeze(module, ranges=False)
        if teacher is not None and epoch == epochs - 2:
            freeze(module)
        for rows in torch.randperm(len(data.train)).split(BATCH):
            pictures, digits = data.train[rows], data.train_digits[rows]
            optimizer.zero_grad()
            loss(module, teacher, pictures, digits).backward()
            optimizer.step()
    module.eval()


def loss(module: nn.Module, teacher: nn.Module | None, pictures: Tensor, digits: Tensor) -> Tensor:
    """Cross entropy, or distillation."""
    if teacher is None:
        return cross_entropy(module(pictures), digits)
    with torch.no_grad():
        taught = teacher(pictures)
    return distillation_loss(module(pictures), taught, digits)


def calibrate(prepared: nn.Module, data: Data) -> None:
    """See the ranges of activations without training: what quantization after training gives."""
    freeze(prepared, batch_norm=True, ranges=False)
    prepared.train()
    with torch.no_grad():
        for pictures in data.train.split(BATCH):
            prepared(pictures)
    prepared.eval()


def accuracy(module: nn.Module, data: Data) -> float:
    """The share of test pictures that are read correctly."""
    with torch.no_grad():
        return float((module(data.test).argmax(1) == data.test_digits).float().mean())


def compiled_accuracy(module: nn.Module, data: Data, folder: Path) -> float:
    """As `accuracy`, computed by the binary for this machine, which is verified first."""
    source = folder / "digits.onnx"
    torch.onnx.export(module, (data.test[:1],), source, dynamo=True, verbose=False)
    options = CompileOptions(find_target("host"))
    artifact = compile_model(str(source), options, folder / "digits.edge").artifact
    verify_artifact(artifact)
    scores = np.asarray(CompiledNetwork(artifact)(data.test.numpy()))
    return float(np.mean(scores.argmax(1) == data.test_digits.numpy()))


def main(folder: Path) -> None:
    """Train, quantize in both ways, compile, print."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    data, inputs = Data(), torch.zeros(1, 1, 8, 8)
    float_network = network()
    fit(float_network, data, epochs=30, rate=5e-3)

    only_rounded = prepare_qat(float_network, inputs)
    calibrate(only_rounded, data)
    prepared = prepare_qat(float_network, inputs)
    fit(prepared, data, epochs=8, rate=1e-3, teacher=float_network)

    print(f"float, PyTorch                        {accuracy(float_network, data):.3f}")
    print(f"int8, quantized after training        {accuracy(finish(only_rounded), data):.3f}")
    print(f"int8, quantization-aware training     {accuracy(finish(prepared), data):.3f}")
    print(f"int8, the same as a compiled binary   {compiled_accuracy(finish(prepared), data, folder):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="where the results go")
    main(parser.parse_args().folder)
