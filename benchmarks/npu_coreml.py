"""Networks as Core ML programs: how far what the evaluator computes is from onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from benchmarks.accuracy import splits
from benchmarks.accuracy_tasks import TASKS, zoo
from benchmarks.markdown import markdown_table
from benchmarks.networks import SHAPES as OPEN
from benchmarks.npu_work import Row, Shapes, Work, executing
from edgecompile.cli.ui import size
from edgecompile.core.artifact import NOISE_FACTOR, Artifact
from edgecompile.errors import UnsupportedError
from edgecompile.execute import load_golden, reference_noise
from edgecompile.verify import compare

PART, TARGET, FLOAT = "core-ml", "apple-neural-engine", "float16"
SHAPES: Mapping[str, Shapes] = MappingProxyType({**OPEN, "silero_vad_16k_sequence": {"input": (8, 576)}})
# Recipes by which networks are quantized as well.
RECIPES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "kws_dscnn": ("int8", "int8w", "palette4"),
        "mobilenetv2_imagenet": ("int8", "int8w", "palette4"),
        "resnet20_cifar10": ("int8",),
    }
)
_CALIBRATION = 32


def networks() -> Sequence[str]:
    """The names of all float networks that there are."""
    return [path.stem for path in sorted((zoo() / "models").glob("*.onnx"))]


def measure(work: Work, network: str) -> Iterator[Row]:
    """A row for float16, and one for each recipe."""
    path, shapes = zoo() / "models" / f"{network}.onnx", SHAPES.get(network, {})
    yield _row(work, network, FLOAT, path, shapes)
    for recipe in RECIPES.get(network, ()):
        data = next(task for task in TASKS if task.network == network).load()
        chosen, _ = next(splits(data.units, data.folds))
        samples = [data.inputs(int(unit)) for unit in chosen[:_CALIBRATION]]
        quantized = work.quantized(work.imported(network, str(path), shapes), samples, recipe)
        yield _row(work, network, recipe, quantized, {})


def _row(work: Work, network: str, variant: str, path: Path, shapes: Shapes) -> Row:
    row: Row = {"part": PART, "network": network, "variant": variant}
    try:
        return row | _figures(work, work.artifact(path, TARGET, shapes))
    except UnsupportedError as error:
        return row | {"refused": [problem.what for problem in error.problems]}


def _figures(work: Work, artifact: Artifact) -> Row:
    """On the samples of noise that come with an artifact, against what `verify` allows.

    Both are parts of the output's range; they are those of the output that comes nearest to what is allowed.
    """
    inputs, expected = load_golden(artifact)
    samples = work.outputs(artifact.path.stem, list(zip(*inputs, strict=True)), executing(artifact))
    outputs = map(np.stack, zip(*samples, strict=True))
    tolerance, noises = artifact.manifest.tolerance, reference_noise(artifact)
    bars = [max(tolerance, NOISE_FACTOR * noise) for noise in noises]
    errors = [compare("", got, want).max_error for got, want in zip(outputs, expected, strict=True)]
    error, bar = max(zip(errors, bars, strict=True), key=lambda pair: pair[0] / pair[1])
    row: Row = {"n": len(inputs[0]), "error": error, "bytes": artifact.manifest.memory.flash}
    return row | {"bar": bar, "met": error <= bar}


def render(rows: Sequence[Row]) -> str:
    """One line a network and recipe."""
    lines = []
    for row in rows:
        if "refused" in row:
            lines.append((row["network"], row["variant"], "refused", "", "; ".join(row["refused"])))
        else:
            bar = f"{row['bar']:.2g}: {'met' if row['met'] else 'missed'}"
            lines.append((row["network"], row["variant"], f"{row['error']:.1e}", size(row["bytes"]), bar))
    return markdown_table(
        ("network", "weights", "difference", "package", "bar"), lines, ("network", "weights", "bar")
    )
