"""The whole path on one page: train a network, quantize it, compile both for three targets, execute all.

The data are scikit-learn's handwritten digits, which ship with that package: 1797 pictures of 8 x 8 pixels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import make_folder
from edgecompile.core.target import find_target
from edgecompile.errors import EdgeCompileError, MissingToolError, Problem
from edgecompile.execute import CompiledNetwork
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.quantize import QuantizeOptions, quantize_source
from edgecompile.verify import verify_artifact

if TYPE_CHECKING:
    import torch

TARGETS = ("host", "cortex-a72", "cortex-m4")
TYPES = ("float32", "int8")
# Training pictures from which the ranges of activations are taken.
CALIBRATION_PICTURES = 128
SEED = 2026
EPOCHS = 12

Array = np.ndarray[Any, Any]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class DemoRow:
    """One network on one target: `skipped` says why it was not executed, else the measured figures.

    `accuracy` is the share of test pictures read correctly by the compiled network; `max_error` is against
    the reference (onnxruntime, for int8 the integer interpreter), relative to the output's range; `host_us`
    is the median time of one inference, where the target is this machine.
    """

    target: str
    dtype: str
    skipped: str = ""
    accuracy: float | None = None
    max_error: float | None = None
    flash_bytes: int | None = None
    arena_bytes: int | None = None
    instructions: int | None = None
    host_us: float | None = None


def run_demo(folder: Path | None = None, progress: Progress = lambda task: None) -> tuple[DemoRow, ...]:
    """Run everything; artifacts are kept in `folder` when one is given.

    `progress` is called with each task. Raises MissingToolError (EC5101) without torch or scikit-learn.
    """
    _require_packages()
    with tempfile.TemporaryDirectory(prefix="edgecompile-demo-") as scratch:
        return tuple(_rows(folder or Path(scratch), progress))


def _rows(folder: Path, progress: Progress) -> Iterator[DemoRow]:
    make_folder(folder)
    network = folder / "digits.onnx"
    progress("training a small network on handwritten digits")
    # An ONNX file states the shapes of its outputs; folding constants infers them.
    pipeline = Pipeline((FoldConstants(),))
    model, _ = import_through(f"{__name__}:trained_network", ImportOptions(), pipeline)
    network.write_bytes(model.to_bytes())
    progress("quantizing it to int8")
    quantized = _quantize(network, folder)
    _, pictures, _, digits = _data()
    for dtype, path in zip(TYPES, (network, quantized), strict=True):
        for target in TARGETS:
            progress(f"compiling {dtype} for {target} and executing {len(digits)} pictures")
            yield _measure(target, dtype, path, folder, pictures, digits)


def _quantize(network: Path, folder: Path) -> Path:
    """The network in int8, calibrated on pictures that it was trained on."""
    pictures, quantized = folder / "pictures.npz", folder / "digits-int8.onnx"
    np.savez(pictures, x=_data()[0][:CALIBRATION_PICTURES, None])
    result = quantize_source(str(network), QuantizeOptions(str(pictures)))
    quantized.write_bytes(result.model.to_bytes())
    return quantized


def _measure(target: str, dtype: str, network: Path, folder: Path, pictures: Array, digits: Array) -> DemoRow:
    try:
        options = CompileOptions(target=find_target(target), name="digits")
        output = folder / f"digits-{dtype}-{target}.edge"
        artifact = compile_model(str(network), options, output).artifact
        verified = verify_artifact(artifact).verification
        scores = CompiledNetwork(artifact)(pictures)
        cost = bench_artifact(artifact)
    except MissingToolError as error:
        return DemoRow(target, dtype, skipped=_reason(error))
    assert isinstance(scores, np.ndarray)
    return DemoRow(
        target,
        dtype,
        accuracy=float(np.mean(scores.argmax(1) == digits)),
        max_error=verified.max_error,
        flash_bytes=artifact.manifest.memory.flash,
        arena_bytes=artifact.manifest.memory.arena,
        instructions=cost.instructions,
        host_us=cost.p50_us,
    )


def _reason(error: EdgeCompileError) -> str:
    """e.g. "qemu-aarch64 not found (apt install qemu-user)"."""
    problem = error.problems[0]
    return f"{problem.what} ({problem.fix})" if problem.fix else problem.what


def _require_packages() -> None:
    from importlib.util import find_spec

    fix = "pip install 'edgecompile[demo]'"
    packages = {"torch": "torch", "sklearn": "scikit-learn"}
    missing = [name for module, name in packages.items() if find_spec(module) is None]
    if missing:
        raise MissingToolError(
            *(Problem("EC5101", f"{name} is not installed", "", "", fix) for name in missing)
        )


def trained_network() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """A convolutional network that reads digits, trained here in seconds from a seed, and an input."""
    import torch

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    network = _network()
    pictures, _, digits, _ = (torch.from_numpy(array) for array in _data())
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(digits)).split(64):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(pictures[batch]), digits[batch])
            loss.backward()
            optimizer.step()
    return network.eval(), (pictures[:1],)


def _network() -> torch.nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
        nn.Conv2d(16, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def _data() -> tuple[Array, Array, Array, Array]:
    """Training pictures, test pictures (N, 1, 8, 8) in 0..1, training digits, test digits."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    pictures = (data.images[:, None] / 16.0).astype(np.float32)
    split = train_test_split(pictures, data.target, test_size=0.2, random_state=SEED, stratify=data.target)
    return tuple(split)
