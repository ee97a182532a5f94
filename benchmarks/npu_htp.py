"""Networks on Qualcomm's HTP: their decisions in its emulator, the integer interpreter's and those in float.

The binary for this machine stands for the interpreter, whose integers it computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from benchmarks import digits_transformer
from benchmarks.accuracy import splits
from benchmarks.accuracy_figures import Answers, figures
from benchmarks.accuracy_tasks import TASKS, Data
from benchmarks.markdown import markdown_table
from benchmarks.npu_work import Arrays, Row, Shapes, Work, executing, read_model
from edgecompile.passes.quantize.observe import Executor

PART = "htp"
# How many samples are executed for each version of the HTP.
CASES: Mapping[str, Mapping[int, int]] = MappingProxyType(
    {
        "kws_dscnn": {73: 400, 75: 400},
        "vww_mobilenet": {73: 400, 75: 50},
        "resnet20_cifar10": {73: 400, 75: 50},
        "mobilenetv2_imagenet": {73: 400, 75: 50},
        "fastestdet_coco": {73: 60, 75: 10},
        digits_transformer.NETWORK: {73: 400, 75: 400},
    }
)
# Percent of decisions that are the interpreter's, at least; points of accuracy lost against float, at most.
LEAST_AGREEMENT = 98.0
_BARS = {"least_agreement": "%", "largest_drop": "points"}
LARGEST_DROPS: Mapping[str, float] = MappingProxyType({"mobilenetv2_imagenet": 1.5})


def networks() -> Sequence[str]:
    """The names of all that are measured."""
    return list(CASES)


def measure(work: Work, network: str) -> Iterator[Row]:
    """A row for each version of the HTP."""
    source, data, shapes = _subject(network)
    chosen, scored = next(splits(data.units, data.folds))
    calibration = [data.inputs(int(unit)) for unit in chosen]
    imported = work.imported(network, source, shapes)
    quantized = work.quantized(imported, calibration)
    model = read_model(imported)
    names, floats = [info.name for info in model.inputs], Executor(model)
    for version, count in CASES[network].items():
        places = np.linspace(0, len(scored) - 1, min(count, len(scored)))
        units = [int(scored[int(place)]) for place in places]
        samples = [data.inputs(unit) for unit in units]
        results = {}
        for name, target in (("htp", f"hexagon-v{version}"), ("int8", "host")):
            artifact = work.artifact(quantized, target)
            results[name] = work.outputs(artifact.path.stem, samples, executing(artifact))
        results["float"] = [
            tuple(floats(dict(zip(names, sample, strict=True))).values()) for sample in samples
        ]
        found: Row = {"part": PART, "network": network, "variant": f"v{version}"}
        yield judged(found | row(data, units, results))


def row(data: Data, units: list[int], results: Mapping[str, list[Arrays]]) -> Row:
    """What the outputs "htp", "int8" and "float" of the same units say, without bars."""
    pairs = {"drop": ("float", "htp"), "moved": ("int8", "htp"), "quantized": ("float", "int8")}
    answers = {name: Answers() for name in pairs}
    for place, unit in enumerate(units):
        for name, (before, after) in pairs.items():
            answers[name].add(data, unit, list(results[before][place]), list(results[after][place]))
    found = figures(data, answers["drop"])
    return {
        "n": len(units),
        "float": found["float"],
        "int8": data.score(answers["moved"].before),
        "htp": found["quantized"],
        "drop": found["drop"],
        "interval": found["interval"],
        "agreement": _agreement(answers["moved"]),
        "agreement_with_float": {"htp": found["agreement"], "int8": _agreement(answers["quantized"])},
        "difference": _difference(results["htp"], results["int8"]),
    }


def _agreement(answers: Answers) -> float | None:
    """Percent of the decisions; None where a network makes none."""
    decisions = np.concatenate(answers.agreements)
    return 100 * float(decisions.mean()) if decisions.size else None


def judged(found: Row) -> Row:
    """`found` with whether its bars hold."""
    most, agreement = LARGEST_DROPS.get(found["network"]), found["agreement"]
    met = agreement is None or agreement >= LEAST_AGREEMENT
    bar: Row = {} if agreement is None else {"least_agreement": LEAST_AGREEMENT}
    if most is not None:
        bar, met = bar | {"largest_drop": most}, met and found["drop"] <= most
    return found | ({"bar": bar, "met": bool(met)} if bar else {})


def render(rows: Sequence[Row]) -> str:
    """One line a network and version of the HTP."""
    columns = ("network", "version", "samples", "same decision", "HTP", "int8", "float", "difference", "bar")
    return markdown_table(columns, map(_cells, rows), ("network", "version", "bar"))


def _cells(row: Row) -> tuple[str, ...]:
    agreement = "-" if row["agreement"] is None else f"{row['agreement']:.1f} %"
    scores = [f"{100 * row[key]:.1f} %" for key in ("htp", "int8", "float")]
    bars = row.get("bar", {})
    words = [f"{bars[key]:g} {unit}" for key, unit in _BARS.items() if key in bars]
    verdict = f"{', '.join(words)}: {'met' if row['met'] else 'missed'}" if words else ""
    difference = f"{100 * row['difference']:.1f} %"
    return row["network"], row["variant"], str(row["n"]), agreement, *scores, difference, verdict


def _difference(ones: list[Arrays], others: list[Arrays]) -> float:
    """The largest difference of an output, as a part of its range over all samples."""
    columns = zip(zip(*ones, strict=True), zip(*others, strict=True), strict=True)
    pairs = [(np.stack(one).astype(float), np.stack(other).astype(float)) for one, other in columns]
    return max(float(abs(one - other).max() / (abs(other).max() or 1.0)) for one, other in pairs)


def _subject(network: str) -> tuple[str, Data, Shapes]:
    """Its source, labelled data, and shapes that its file leaves open."""
    if network == digits_transformer.NETWORK:
        return digits_transformer.SOURCE, digits_transformer.data(), {}
    task = next(task for task in TASKS if task.network == network)
    return str(task.path), task.load(), task.shapes
