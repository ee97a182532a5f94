"""What quantization costs: signal-to-quantization-noise ratios (SQNR), layer by layer and of the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.observe import Executor, Sample

# Layers that each add more than this share of all noise are worth computing in float.
_LARGE_SHARE = 0.15


class Ratio:
    """SQNR over any number of arrays: 10 log10 of signal power over the power of the difference, in dB."""

    def __init__(self) -> None:
        self._signal = self._noise = 0.0

    def add(self, exact: Array, approximate: Array) -> None:
        difference = exact.astype(np.float64) - approximate
        self._signal += float(np.vdot(exact.astype(np.float64), exact))
        self._noise += float(np.vdot(difference, difference))

    @property
    def decibels(self) -> float:
        """Infinity for equal arrays; -infinity for noise on zeros."""
        if not self._noise:
            return math.inf
        return 10 * math.log10(self._signal / self._noise) if self._signal else -math.inf


def tensor_ratios(
    before: Model, after: Model, names: Mapping[str, str], samples: Iterable[Sample]
) -> dict[str, float]:
    """The SQNR of tensors in dB; `names` says for a name in `before` what the tensor is called in `after`."""
    exact, approximate = Executor(before, list(names)), Executor(after, list(names.values()), exact=True)
    ratios = {name: Ratio() for name in names}
    for sample in samples:
        wanted, got = exact(sample), approximate(sample)
        for name, ratio in ratios.items():
            ratio.add(wanted[name], got[names[name]])
    return {name: ratio.decibels for name, ratio in ratios.items()}


def output_ratio(expected: Sequence[Mapping[str, Array]], after: Model, samples: Iterable[Sample]) -> float:
    """The least SQNR in dB among the outputs of `after`, given what they should be for each of `samples`."""
    execute = Executor(after, exact=True)
    ratios = {name: Ratio() for name in execute.names}
    for wanted, sample in zip(expected, samples, strict=False):
        got = execute(sample)
        for name, ratio in ratios.items():
            if wanted[name].dtype.kind == "f":
                ratio.add(wanted[name], got[name])
    return min(ratio.decibels for ratio in ratios.values())


@dataclass(frozen=True)
class Sensitivity:
    """The SQNR of the network's outputs in dB when only `layer` is quantized."""

    layer: str
    decibels: float


def sensitivities(
    before: Model,
    layers: Sequence[str],
    only: Callable[[str], Model],
    samples: Sequence[Sample],
    progress: Callable[[int], None] = lambda done: None,
) -> list[Sensitivity]:
    """One entry a layer; `only(layer)` is the network with just that layer quantized."""
    execute = Executor(before)
    expected = [execute(sample) for sample in samples]
    found = []
    for layer in layers:
        found.append(Sensitivity(layer, output_ratio(expected, only(layer), samples)))
        progress(len(found))
    return found


def suggested_float(found: Sequence[Sensitivity]) -> list[str]:
    """The layers whose noise is a large part of all layers' noise, the worst first."""
    noise = {one.layer: 10 ** (-one.decibels / 10) for one in found}
    total = sum(noise.values())
    worst = sorted(noise, key=lambda layer: (-noise[layer], layer))
    return [layer for layer in worst if total and noise[layer] > _LARGE_SHARE * total]
