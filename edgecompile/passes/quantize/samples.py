"""Calibration data: any number of samples, one at a time, each checked against the network's inputs."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.observe import Sample

# What a source yields: one sample or a batch of them, an array for networks with one input, else a mapping
# from the names of inputs (or in_0, in_1, ...), or the arrays in order.
Item = Any
# Numbers above this that are all whole look like pixels.
_RAW_PIXELS = 32.0


@dataclass(frozen=True)
class Samples:
    """Samples for a network with the inputs `infos`; every iteration starts from the first one.

    `items` is called for each iteration, `count` is the number of samples where it is known, and messages
    call the source `where`. Iterating raises InputError: EC3302 when an array does not fit its input, EC3303
    for NaN or infinity, EC3304 for a missing input.
    """

    items: Callable[[], Iterable[Item]]
    infos: tuple[TensorInfo, ...]
    where: str
    count: int | None = None
    limit: int | None = None

    def __iter__(self) -> Iterator[Sample]:
        return itertools.islice(self._all(), self.limit)

    def first(self, limit: int) -> Samples:
        """The same, but at most `limit` samples."""
        count = None if self.count is None else min(self.count, limit)
        return Samples(self.items, self.infos, self.where, count, limit)

    def _all(self) -> Iterator[Sample]:
        index = 0
        for item in self.items():
            arrays = [self._batch(name, array) for name, array in self._named(item, index).items()]
            if len({len(array) for array in arrays}) > 1:
                counts = ", ".join(f"'{i.name}' {len(a)}" for i, a in zip(self.infos, arrays, strict=True))
                raise self._problem("EC3302", "inputs differ in their number of samples", counts, "")
            for sample in zip(*arrays, strict=True):
                values = {info.name: array for info, array in zip(self.infos, sample, strict=True)}
                self._check_numbers(values, index)
                yield values
                index += 1

    def _named(self, item: Item, index: int) -> dict[TensorInfo, Array]:
        if isinstance(item, Mapping):
            found = {i: item.get(i.name, item.get(f"in_{k}")) for k, i in enumerate(self.infos)}
            if len(self.infos) == 1 and found[self.infos[0]] is None:
                found[self.infos[0]] = item.get("x")
        else:
            parts: Sequence[Any] = [item] if len(self.infos) == 1 and not _is_tuple(item) else item
            found = dict(zip(self.infos, [*parts, *[None] * len(self.infos)], strict=False))
        missing = [info.name for info in self.infos if found[info] is None]
        if missing:
            given = ", ".join(map(str, item)) if isinstance(item, Mapping) else f"{len(item)} arrays"
            why = f"sample {index} has {given or 'no arrays'}, nothing for {', '.join(map(repr, missing))}"
            fix = "name the arrays like the network's inputs: " + ", ".join(i.name for i in self.infos)
            raise self._problem("EC3304", "an input of the network has no data", why, fix)
        return {info: np.asarray(array) for info, array in found.items()}

    def _batch(self, info: TensorInfo, array: Array) -> Array:
        """`array` as (samples, *shape of the input), in the input's element type."""
        wanted, dtype = info.shape, np.dtype(info.dtype)
        kind = "iu" if dtype.kind in "iu" else dtype.kind
        if array.dtype.kind not in kind:
            why = f"'{info.name}' is {info.dtype}, the data are {array.dtype}"
            fix = "convert as in training, e.g. x.astype('float32') / 255" if dtype.kind == "f" else ""
            raise self._problem("EC3302", "the data have the wrong element type", why, fix)
        array = array.astype(dtype, copy=False)
        one = wanted[:1] == (1,)
        if array.shape == wanted or (one and array.shape == wanted[1:]):
            return array.reshape(1, *wanted)
        if array.shape[1:] == wanted or (one and array.shape[1:] == wanted[1:]):
            return array.reshape(len(array), *wanted)
        why = f"'{info.name}' takes {wanted}, the data are {array.shape}"
        raise self._problem("EC3302", "the data have the wrong shape", why, _advice(array.shape, wanted))

    def _check_numbers(self, values: Sample, index: int) -> None:
        for name, array in values.items():
            if array.dtype.kind != "f":
                continue
            if not np.isfinite(array).all():
                why, fix = f"sample {index} of '{name}'", "remove or repair that sample"
                raise self._problem("EC3303", "the data contain NaN or infinity", why, fix)
            if index == 0 and _looks_raw(array):
                warnings.warn(
                    f"'{name}' holds whole numbers up to {array.max():.0f} in {self.where}: "
                    "is that what the network was trained on, or is the normalization missing?",
                    stacklevel=2,
                )

    def _problem(self, code: str, what: str, why: str, fix: str) -> InputError:
        return InputError(Problem(code, what, self.where, why, fix))


def _is_tuple(item: Item) -> bool:
    return isinstance(item, list | tuple)


def _looks_raw(array: Array) -> bool:
    """Whether all numbers are whole and some far from what normalization leaves."""
    return bool(array.size and np.abs(array).max() > _RAW_PIXELS and (array == np.rint(array)).all())


def _advice(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """How to transpose an array of `shape`, if that is what is wrong with it."""
    for target in (wanted, wanted[1:]):
        for lead in (0, 1):
            inner = shape[lead:]
            if len(inner) != len(target) or sorted(inner) != sorted(target) or len(inner) < 2:
                continue
            order = _permutation(inner, target)
            axes = (*range(lead), *(axis + lead for axis in order))
            return f"the axes are in another order: x.transpose{axes}"
    return "give arrays of the network's shape, samples along the first axis"


def _permutation(shape: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    left = list(range(len(shape)))
    order = []
    for size in target:
        axis = next(axis for axis in left if shape[axis] == size)
        left.remove(axis)
        order.append(axis)
    return tuple(order)
