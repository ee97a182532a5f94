"""Networks as Core ML programs: how far what the evaluator computes is from onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmarks.accuracy import splits
from benchmarks.accuracy_tasks import TASKS, zoo
from benchmarks.markdown import markdown_table
from benchmarks.networks import SHAPES as OPEN
from benchmarks.npu_work import Row, Shapes, Work
from edgecompile.core.artifact import Artifact
from edgecompile.errors import UnsupportedError
from edgecompile.execute import execute, load_golden
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
    """On the samples of noise that come with an artifact: `error` is a part of the output's range."""
    inputs, expected = load_golden(artifact)
    outputs = execute(artifact, None, inputs).outputs
    error = max(compare("", got, want).max_error for got, want in zip(outputs, expected, strict=True))
    bar, manifest = artifact.manifest.tolerance, artifact.manifest
    row: Row = {"n": len(inputs[0]), "error": error, "bytes": manifest.memory.flash, "bar": bar}
    return row | {"met": error <= bar}


def render(rows: Sequence[Row]) -> str:
    """One line a network and recipe."""
    lines = []
    for row in rows:
        if "refused" in row:
            lines.append((row["network"], row["variant"], "refused", "", "; ".join(row["refused"])))
        else:
            bar = f"{row['bar']:g} {'met' if row['met'] else 'missed'}"
            size = f"{row['bytes'] / 1e3:,.0f}"
            lines.append((row["network"], row["variant"], f"{row['error']:.1e}", size, bar))
    return markdown_table(
        ("network", "weights", "difference", "kB", "bar"), lines, ("network", "weights", "bar")
    )
