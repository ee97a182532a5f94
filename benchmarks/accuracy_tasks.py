"""Trained networks, labelled data and what a right answer is, from the folder that EDGECOMPILE_ZOO names."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.average_precision import match, mean_average_precision
from edgecompile.errors import Problem, UsageError

Array = np.ndarray[Any, Any]
# What the network said about one unit of the data, judged: what `Data.score` makes a number of.
Outcome = Any


@dataclass(frozen=True)
class Data:
    """Labelled data of so many `units` (pictures, clips), each of which is one inference.

    `inputs(unit)` are the network's inputs, `judge(unit, outputs)` compares its outputs with the label, and
    `score(outcomes)` is the share of right answers, or a precision, from 0 to 1. `decide(outputs)` is what
    two networks agree on. `folds` is 1 where there is data enough to calibrate on one part only.
    """

    units: int
    inputs: Callable[[int], tuple[Array, ...]]
    judge: Callable[[int, list[Array]], Outcome]
    score: Callable[[Sequence[Outcome]], float]
    decide: Callable[[list[Array]], Array]
    folds: int = 1


@dataclass(frozen=True)
class Bar:
    """By how many points a score may drop, how many percent of decisions must stay, who must be beaten.

    For the detector a point is 0.01 of mean average precision. `beats_peers`: more decisions stay than with
    any other quantizer on the same data.
    """

    largest_drop: float
    least_agreement: float | None = None
    beats_peers: bool = False


@dataclass(frozen=True)
class Task:
    """A network, data that it is scored on, and the bars for recipes, by their names."""

    network: str
    load: Callable[[], Data]
    bars: Mapping[str, Bar]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return zoo() / "models" / f"{self.network}.onnx"


def zoo() -> Path:
    """The folder of trained models. Raises UsageError (EC2301)."""
    folder = os.environ.get("EDGECOMPILE_ZOO")
    if not folder:
        fix = "set EDGECOMPILE_ZOO to it"
        raise UsageError(Problem("EC2301", "the folder of trained models is not known", "", "", fix))
    return Path(folder)


def _script(name: str) -> ModuleType:
    """One of the folder's evaluation scripts."""
    if str(zoo()) not in sys.path:
        sys.path.insert(0, str(zoo()))
    return importlib.import_module(name)


def _classes(pictures: Array, labels: Array, prepare: Callable[[Array], Array], folds: int = 1) -> Data:
    return Data(
        len(labels),
        lambda unit: (prepare(pictures[unit : unit + 1]),),
        lambda unit, outputs: int(outputs[0].argmax()) == int(labels[unit]),
        lambda outcomes: float(np.mean(outcomes)),
        lambda outputs: np.asarray(outputs[0].argmax()),
        folds,
    )


def _imagenet() -> Data:
    module = _script("eval_imagenet")
    pictures, labels = module.load(str(zoo() / "eval_only/data/imagenet"))
    return _classes(pictures, labels, module.torch)


def _cifar10() -> Data:
    arrays = np.load(zoo() / "eval_only/data/cifar10.npz")
    return _classes(arrays["x"], arrays["y"], _script("eval_cifar10").norm)


def _keywords() -> Data:
    arrays = np.load(zoo() / "data/kws01.npz")
    return _classes(arrays["x"], arrays["y"], _script("eval_kws").prep)


def _persons() -> Data:
    arrays = np.load(zoo() / "eval_only/data/vww_coco.npz")
    return _classes(arrays["x"], arrays["y"], _script("eval_vww").prep, folds=4)


def _detection() -> Data:
    from PIL import Image

    module, folder = _script("eval_detection"), zoo() / "eval_only/data/coco352"
    files = sorted(folder.glob("*.jpg"))
    boxes = np.loadtxt(folder / "boxes.csv", delimiter=",").reshape(-1, 6)

    def inputs(unit: int) -> tuple[Array, ...]:
        pixels = np.asarray(Image.open(files[unit]).convert("RGB"))[..., ::-1]
        return (np.ascontiguousarray(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255),)

    def judge(unit: int, outputs: list[Array]) -> Outcome:
        wanted = boxes[boxes[:, 0] == int(files[unit].stem)][:, 1:]
        return match(module.decode(outputs[0][0]), wanted)

    return Data(len(files), inputs, judge, mean_average_precision, lambda outputs: np.zeros(0), folds=4)


def _speech() -> Data:
    arrays = np.load(zoo() / "data/vad.npz")
    clips, labels = arrays["x"], arrays["y"]
    state = np.zeros((1, 1, 128), np.float32)

    def inputs(unit: int) -> tuple[Array, ...]:
        samples = np.concatenate([np.zeros(64, np.float32), clips[unit].astype(np.float32) / 32768])
        frames = np.stack([samples[i : i + 576] for i in range(0, len(samples) - 575, 512)])
        return frames, state, state

    def judge(unit: int, outputs: list[Array]) -> Outcome:
        clear = labels[unit] >= 0
        return ((outputs[0].ravel() > 0.5) == labels[unit])[clear]

    def score(outcomes: Sequence[Outcome]) -> float:
        return float(np.concatenate(outcomes).mean())

    return Data(len(clips), inputs, judge, score, lambda outputs: outputs[0].ravel() > 0.5, folds=4)


_CLIP_FRAMES = 94

TASKS: tuple[Task, ...] = (
    Task(
        "mobilenetv2_imagenet",
        _imagenet,
        {"int8": Bar(1.0, least_agreement=95.0, beats_peers=True), "int8-per-tensor": Bar(3.0)},
    ),
    Task("resnet20_cifar10", _cifar10, {"int8": Bar(0.5)}),
    Task("kws_dscnn", _keywords, {"int8": Bar(0.5)}),
    Task("vww_mobilenet", _persons, {"int8": Bar(0.5)}),
    Task("fastestdet_coco", _detection, {"int8": Bar(1.0)}),
    Task("silero_vad_16k_sequence", _speech, {"int8": Bar(0.5)}, shapes={"input": (_CLIP_FRAMES, 576)}),
)
