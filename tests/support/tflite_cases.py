"""Small networks as TensorFlow Lite files with inputs for them; what is not given, hypothesis chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.support.tflite_files import Array, TFLiteFile

Draw = Callable[[st.SearchStrategy[Any]], Any]
# Values of the option Padding.
SAME, VALID = 0, 1
_TYPES = {"int8": "INT8", "int16": "INT16"}


@dataclass(frozen=True)
class Case:
    """A file and inputs for it."""

    data: bytes
    inputs: list[Array]


@dataclass
class Net:
    """A network in the making; constants and inputs are random, from a drawn seed."""

    draw: Draw
    dtype: str = "int8"
    file: TFLiteFile = field(default_factory=TFLiteFile)
    scales: dict[str, float] = field(default_factory=dict)
    shapes: dict[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.draw(st.integers(0, 2**32 - 1)))

    def size(self, least: int = 1, most: int = 12) -> int:
        """A dimension."""
        return int(self.draw(st.integers(least, most)))

    def one_of(self, *values: Any) -> Any:
        """One of the values."""
        return self.draw(st.sampled_from(values))

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        scale: float | None = None,
        zero: int | None = None,
        like: str = "",
    ) -> str:
        """An activation; with the scale and zero point of `like`, or drawn ones."""
        if like:
            (other,) = [tensor for tensor in self.file.tensors if tensor.name == like]
            scale, zero = other.scale[0], other.zero_point[0]
        scale = self.draw(st.floats(0.01, 0.2)) if scale is None else scale
        if zero is None:
            zero = 0 if self.dtype == "int16" else self.draw(st.integers(-128, 127))
        self.scales[name], self.shapes[name] = float(np.float32(scale)), shape
        return self.file.tensor(name, shape, _TYPES[self.dtype], float(scale), zero)

    def weights(self, shape: Sequence[int], axis: int | None) -> None:
        """Constants w and b for the input x, with one scale for each index of `axis`."""
        channels = shape[0] if axis is None else shape[axis]
        count = 1 if axis is None else channels
        scales = self.random.uniform(0.002, 0.02, count).astype(np.float32)
        values = self.random.integers(-127, 128, shape)
        own = [float(scale) for scale in scales * np.float32(self.scales["x"])]
        self.file.constant("w", values, "int8", [float(scale) for scale in scales], axis=axis or 0)
        self.file.constant("b", self.random.integers(-3000, 3000, channels), "int32", own)

    def sum_scale(self, terms: int) -> float:
        """A scale for sums of so many products, most of which it does not clip."""
        return float(self.scales["x"] * 0.01 * np.sqrt(terms) * 70 / self.draw(st.floats(0.5, 3)))

    def case(self, inputs: Sequence[str], outputs: Sequence[str] = ("y",)) -> Case:
        """The file, and random inputs."""
        limits = np.iinfo(self.dtype)
        arrays = [
            self.random.integers(limits.min, limits.max + 1, self.shapes[name], self.dtype) for name in inputs
        ]
        return Case(self.file.build(inputs, outputs), arrays)
