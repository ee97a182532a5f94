"""What the tensors of a network hold while it computes samples: histograms and means, in one pass.

onnxruntime executes the network with the wanted tensors as further outputs, one sample at a time, so that
memory does not depend on the number of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import InputError, Problem, UnsupportedError
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.histogram import Histogram

Sample = Mapping[str, Array]
# Called with the number of samples done.
Progress = Callable[[int], None]

# Of large tensors about so many elements a sample are counted, others in the next sample: the distribution of
# millions of activations shows in some thousands, and counting all would take as long as computing them.
_COUNTED = 1 << 14
# Means are taken over at most about so many positions of a channel.
_POSITIONS = 1 << 10


class Executor:
    """Executes `model` in onnxruntime and returns the tensors called `names`.

    `exact` turns onnxruntime's own graph optimizations off, which change results of quantized networks.
    Raises UnsupportedError (EC4032) for a network that onnxruntime has no kernels for.
    """

    def __init__(self, model: Model, names: Sequence[str] | None = None, exact: bool = False) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        if exact:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.names = [info.name for info in model.outputs] if names is None else list(names)
        inputs = {value.name for value in model.graph.graph.inputs}
        self._computed = [name for name in self.names if name not in inputs]
        data = _exposing(model, self._computed)
        try:
            self._session: Any = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class for every status code
            what, why = "onnxruntime cannot execute the network", str(error).splitlines()[0]
            fix = "replace the operator that it names; networks are calibrated by executing them"
            raise UnsupportedError(Problem("EC4032", what, model.provenance.source, why, fix)) from None

    def __call__(self, sample: Sample) -> dict[str, Array]:
        results = self._session.run(self._computed, dict(sample)) if self._computed else []
        values = dict(zip(self._computed, map(np.asarray, results), strict=True))
        return {name: values[name] if name in values else sample[name] for name in self.names}


def _exposing(model: Model, names: Sequence[str]) -> bytes:
    """The ONNX file of `model` with the tensors `names` as its outputs besides its own."""
    probe = model.copy()
    graph = probe.graph.graph
    outputs = {value.name for value in graph.outputs}
    values: dict[str | None, ir.Value] = {value.name: value for node in graph for value in node.outputs}
    graph.outputs.extend(values[name] for name in names if name not in outputs)
    return probe.to_bytes()


class Observation:
    """What tensors held, by their names.

    `histograms` are those of the tensors `counted`; `mean` and `greatest` know the channels (axis 1) of those
    in `averaged` and `bounded`.
    """

    def __init__(
        self, counted: Sequence[str] = (), averaged: Sequence[str] = (), bounded: Sequence[str] = ()
    ) -> None:
        self.histograms = {name: Histogram() for name in counted}
        self.greatest: dict[str, Array] = {}
        self.samples = 0
        self._sums: dict[str, Array] = {}
        self._averaged, self._bounded = frozenset(averaged), frozenset(bounded)
        self.names = list(dict.fromkeys([*counted, *averaged, *bounded]))

    def mean(self, name: str) -> Array:
        """The mean of each channel of the tensor `name`."""
        return np.asarray(self._sums[name] / self.samples)

    def add(self, values: Mapping[str, Array]) -> None:
        """Look at one sample. Raises InputError (EC3306) when the network computes NaN or infinity for it."""
        for name in self.names:
            self._add(name, values[name])
        self.samples += 1

    def _add(self, name: str, array: Array) -> None:
        try:
            if name in self.histograms:
                every = -(-array.size // _COUNTED)
                self.histograms[name].add(array, every, self.samples % every)
        except FloatingPointError:
            what = f"the network computes NaN or infinity for calibration sample {self.samples}"
            fix = "look at that sample, and at the network's own range of numbers"
            raise InputError(Problem("EC3306", what, name, "", fix)) from None
        if name in self._averaged or name in self._bounded:
            self._add_channels(name, array)

    def _add_channels(self, name: str, array: Array) -> None:
        rows = array.reshape(array.shape[0], array.shape[1], -1) if array.ndim > 1 else array[None, :, None]
        if name in self._averaged:
            some = rows[:, :, :: max(rows.shape[2] // _POSITIONS, 1)]
            means = some.sum(axis=2).mean(axis=0, dtype=np.float64) / some.shape[2]
            self._sums[name] = self._sums.get(name, 0.0) + means
        if name in self._bounded:
            greatest = np.maximum(rows.max(axis=(0, 2)), -rows.min(axis=(0, 2)))
            self.greatest[name] = np.maximum(self.greatest.get(name, 0.0), greatest)


def observe(
    model: Model,
    samples: Iterable[Sample],
    observation: Observation,
    progress: Progress = lambda done: None,
) -> Observation:
    """Execute `model` on all `samples` and fill `observation`. Raises InputError (EC3305) without samples."""
    execute = Executor(model, observation.names)
    for sample in samples:
        observation.add(execute(sample))
        progress(observation.samples)
    if not observation.samples:
        fix = "give at least one sample; 100 or more are usual"
        raise InputError(Problem("EC3305", "there are no calibration samples", "--calibrate", "", fix))
    return observation
