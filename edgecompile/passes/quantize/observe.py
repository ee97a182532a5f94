"""What the tensors of a network hold while it computes samples: histograms and means, in one pass.

onnxruntime executes the network with the wanted tensors as further outputs, one sample at a time, so that
memory does not depend on the number of samples. A few samples are computed at the same time, each by some of
the cores: they need not wait for each other, as threads that share one sample do after every operator.
What takes long with a sample's tensors is done there too, while they are still near.

The least and the greatest number of a tensor are those of all its elements. Of large tensors only a part is
counted, the same number of elements of each channel and others in the next sample: the distribution of
millions of activations shows in some thousands, and counting all would take as long as computing them.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import InputError, Problem, UnsupportedError
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.histogram import Histogram

Sample = Mapping[str, Array]
# Called with the number of samples done.
Progress = Callable[[int], None]

# Of larger tensors about so many elements a sample are counted.
_COUNTED = 1 << 13
# Elements that lie side by side are counted together, as many as a cache line holds.
_RUN = 16
# At most so many samples are computed at a time; all that is observed of each is in memory.
_AT_A_TIME = 4


class Executor:
    """Executes `model` in onnxruntime and returns the tensors called `names`.

    `exact` turns onnxruntime's own graph optimizations off, which change results of quantized networks;
    `threads` compute one call, by default as many as there are cores. Calls may come from several threads.
    Raises UnsupportedError (EC4032) for a network that onnxruntime has no kernels for.
    """

    def __init__(
        self, model: Model, names: Sequence[str] | None = None, exact: bool = False, threads: int = 0
    ) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        if exact:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.names = [info.name for info in model.outputs] if names is None else list(names)
        inputs = {value.name for value in model.graph.graph.inputs}
        self._computed = [name for name in self.names if name not in inputs]
        self._options = ort.RunOptions()
        self._options.only_execute_path_to_fetches = True
        data = _exposing(model, self._computed)
        try:
            self._session: Any = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class for every status code
            what, why = "onnxruntime cannot execute the network", str(error).splitlines()[0]
            fix = "replace the operator that it names; networks are calibrated by executing them"
            raise UnsupportedError(Problem("EC4032", what, model.provenance.source, why, fix)) from None

    def __call__(self, sample: Sample) -> dict[str, Array]:
        results = self._session.run(self._computed, dict(sample), self._options) if self._computed else []
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

    `histograms` are those of the tensors `counted`; `mean` and `greatest` know the channels of those in
    `averaged` and `bounded`. Channels are on axis 1, or where `axes` says.
    """

    def __init__(
        self,
        counted: Sequence[str] = (),
        averaged: Sequence[str] = (),
        bounded: Sequence[str] = (),
        axes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.histograms = {name: Histogram() for name in counted}
        self.greatest: dict[str, Array] = {}
        self.samples = 0
        self._sums: dict[str, Array] = {}
        self._averaged, self._bounded, self._axes = frozenset(averaged), frozenset(bounded), axes
        self.names = list(dict.fromkeys([*counted, *averaged, *bounded]))

    def mean(self, name: str) -> Array:
        """The mean of each channel of the tensor `name`."""
        return np.asarray(self._sums[name] / self.samples)

    def look(self, values: Mapping[str, Array], sample: int) -> dict[str, _Seen]:
        """What is to be known of the tensors in `sample`; any thread may ask.

        Raises InputError (EC3306) when the network computes NaN or infinity for it.
        """
        return {name: self._look(name, values[name], sample) for name in self.names}

    def _look(self, name: str, array: Array, sample: int) -> _Seen:
        channels = _channels(array, self._axes.get(name, 1))
        greatest = _greatest(channels) if name in self._bounded else None
        if name not in self.histograms and name not in self._averaged:
            return _Seen(greatest=greatest)
        part = _part_of(channels, sample)
        mean = np.einsum("icj->c", part) / np.float64(part[:, 0].size) if name in self._averaged else None
        if name not in self.histograms or not array.size:
            return _Seen(greatest=greatest, mean=mean)
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            what = f"the network computes NaN or infinity for calibration sample {sample}"
            fix = "look at that sample, and at the network's own range of numbers"
            raise InputError(Problem("EC3306", what, name, "", fix))
        return _Seen(part, low, high, greatest, mean)

    def add(self, seen: Mapping[str, _Seen]) -> None:
        """Take in what `look` found in the next sample."""
        for name, one in seen.items():
            if one.part is not None:
                self.histograms[name].add_part(one.part, one.low, one.high)
            if one.mean is not None:
                self._sums[name] = self._sums.get(name, 0.0) + one.mean
            if one.greatest is not None:
                self.greatest[name] = np.maximum(self.greatest.get(name, 0.0), one.greatest)
        self.samples += 1


@dataclass(frozen=True)
class _Seen:
    """Of a tensor in one sample: a part to count, `low` and `high` of all; greatest and mean of channels."""

    part: Array | None = None
    low: float = 0.0
    high: float = 0.0
    greatest: Array | None = None
    mean: Array | None = None


def _channels(array: Array, axis: int) -> Array:
    """`array` as [elements before, channels, elements behind `axis`]; a vector has its only axis."""
    axis = min(axis, array.ndim - 1)
    count = array.shape[axis] if array.ndim else 1
    return array.reshape(math.prod(array.shape[: max(axis, 0)]), count, math.prod(array.shape[axis + 1 :]))


def _part_of(channels: Array, sample: int) -> Array:
    """Some elements of each channel, [*, channels, *], others for the next `sample`; all of a small array."""
    before, count, behind = channels.shape
    step = max(min(-(-channels.size // _COUNTED), max(before, behind)), 1)
    chosen = slice(sample % step, None, step)
    if behind < before:
        return channels[chosen].copy()
    runs = behind // _RUN
    if step == 1 or runs < step:
        return channels[:, :, chosen].copy()
    skipped = sample % 2 * (behind % _RUN)  # else the last elements would never be counted
    whole = channels[:, :, skipped : skipped + runs * _RUN].reshape(before, count, runs, _RUN)
    return np.array(whole[:, :, chosen]).reshape(before, count, -1)


def _greatest(channels: Array) -> Array:
    """The greatest magnitude of each channel."""
    rows, flat = channels.shape[:2], channels.reshape(-1)
    starts = np.arange(0, flat.size, channels.shape[2])
    greatest = np.maximum.reduceat(flat, starts).reshape(rows).max(axis=0)
    if flat.min() < 0:
        greatest = np.maximum(greatest, -np.minimum.reduceat(flat, starts).reshape(rows).min(axis=0))
    return np.asarray(greatest)


class Observer(Protocol):
    """Looks at the tensors called `names`, in several samples at a time, and adds up what it sees."""

    names: list[str]
    samples: int

    def look(self, values: Mapping[str, Array], sample: int) -> Any: ...
    def add(self, seen: Any) -> None: ...


Observing = TypeVar("Observing", bound=Observer)


def observe(
    model: Model,
    samples: Iterable[Sample],
    observation: Observing,
    progress: Progress = lambda done: None,
) -> Observing:
    """Execute `model` on all `samples` and fill `observation`. Raises InputError (EC3305) without samples."""
    cores = _usable_cores()
    workers = min(cores, _AT_A_TIME)
    execute = Executor(model, observation.names, threads=cores // workers)

    def look(sample: Sample, number: int) -> Any:
        return observation.look(execute(sample), number)

    for seen in _in_order(look, samples, workers):
        observation.add(seen)
        progress(observation.samples)
    if not observation.samples:
        fix = "give at least one sample; 100 or more are usual"
        raise InputError(Problem("EC3305", "there are no calibration samples", "--calibrate", "", fix))
    return observation


def _in_order(look: Callable[[Sample, int], Any], samples: Iterable[Sample], workers: int) -> Iterator[Any]:
    """What `look` returns for each of `samples` and its number, in order; `workers` at a time."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[Any]] = deque()
        for number, sample in enumerate(samples):
            pending.append(pool.submit(look, sample, number))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
