"""Discrete Fourier transforms as sums over a table of one period of sine and cosine.

O(N^2) operations for a transform of length N: meant for the short frames of audio front ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import te, tirx

from edgecompile.kernels.compute import Tensor, accumulator, element_type, shape_of
from edgecompile.kernels.math import Expr, cast, const


@dataclass(frozen=True)
class Twiddles:
    """What real and imaginary inputs contribute: [period, 2] tables (real, imaginary part of the result)."""

    real: np.ndarray
    imaginary: np.ndarray

    @staticmethod
    def of(length: int, inverse: bool, dtype: str) -> Twiddles:
        """Tables of e^(-2 pi i j / length), or of its conjugate divided by the length."""
        angle = 2 * np.pi * np.arange(length) / length * (1 if inverse else -1)
        scale = 1 / length if inverse else 1.0
        cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
        return Twiddles(
            np.stack([cosine, sine], axis=1).astype(dtype), np.stack([-sine, cosine], axis=1).astype(dtype)
        )


def dft(
    data: Tensor, real: Tensor, imaginary: Tensor, axis: int, mirrored: bool, shape: Sequence[int]
) -> Tensor:
    """Transform along `axis`; the last axis of `data` and of the result is (real, imaginary).

    The tables' period is the transform's length. `mirrored` reads the first half of a symmetric spectrum and
    counts its inner elements twice.
    """
    length, dtype, extents = shape_of(real)[0], element_type(data), shape_of(data)
    total = accumulator(dtype)
    available = min(extents[axis], length // 2 + 1 if mirrored else length)
    n = te.reduce_axis((0, available), "n")

    def element(*index: Expr) -> Expr:
        *outer, part = index
        turn = tirx.indexmod(outer[axis] * n, length)
        position = [*outer[:axis], n, *outer[axis + 1 :]]
        value = cast(data(*position, 0), total) * real(turn, part)
        if extents[-1] == 2:
            value = value + cast(data(*position, 1), total) * imaginary(turn, part)
        if mirrored:
            once = tirx.any(n.var == 0, n.var * 2 == length)
            value = value * tirx.Select(once, const(1, total), const(2, total))
        return te.sum(value, axis=n)

    summed = te.compute(tuple(shape), element, name="dft")
    return te.compute(tuple(shape), lambda *i: cast(summed(*i), dtype), name="result")


def stft(
    signal: Tensor, window: Tensor | None, real: Tensor, imaginary: Tensor, hop: int, shape: Sequence[int]
) -> Tensor:
    """Transforms of the windowed frames of a signal [B, T, 1 or 2]; result [B, frames, bins, 2]."""
    length, dtype, extents = shape_of(real)[0], element_type(signal), shape_of(signal)
    total = accumulator(dtype)
    n = te.reduce_axis((0, length), "n")

    def element(batch: Expr, frame: Expr, frequency: Expr, part: Expr) -> Expr:
        turn, at = tirx.indexmod(frequency * n, length), frame * hop + n
        value = cast(signal(batch, at, 0), total) * real(turn, part)
        if extents[-1] == 2:
            value = value + cast(signal(batch, at, 1), total) * imaginary(turn, part)
        if window is not None:
            value = value * cast(window(n), total)
        return te.sum(value, axis=n)

    summed = te.compute(tuple(shape), element, name="stft")
    return te.compute(tuple(shape), lambda *i: cast(summed(*i), dtype), name="result")
