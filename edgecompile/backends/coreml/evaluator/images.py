"""Pools and resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array
from edgecompile.backends.coreml.evaluator.registry import computes
from edgecompile.backends.coreml.evaluator.windows import paddings, windows


@computes("max_pool")
def max_pool(
    x: Array,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Array:
    seen = _seen(x, kernel_sizes, strides, pad_type, pad, bool(ceil_mode), -np.inf)
    return np.asarray(seen.max(_window(x)))


@computes("avg_pool")
def avg_pool(
    x: Array,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Array:
    if ceil_mode and not exclude_padding_from_average:
        raise ValueError("ceil_mode with padding in the average is not known")
    total = _seen(x, kernel_sizes, strides, pad_type, pad, bool(ceil_mode), 0.0).sum(_window(x))
    if not exclude_padding_from_average:
        return np.asarray(total / np.prod(kernel_sizes))
    ones = np.ones_like(x[:1, :1])
    count = _seen(ones, kernel_sizes, strides, pad_type, pad, bool(ceil_mode), 0.0).sum(_window(x))
    return np.asarray(total / count)


def _seen(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    pad_type: str,
    pad: Sequence[int] | None,
    ceil_mode: bool,
    outside: float,
) -> Array:
    rank = x.ndim - 2
    sizes = [int(k) for k in kernel]
    steps = [int(step) for step in strides] if strides is not None else [1] * rank
    pairs = paddings(x.shape[2:], sizes, steps, [1] * rank, pad_type, pad)
    if ceil_mode:
        pairs = [
            (low, high + _missing(size + low + high, k, step, size + low))
            for (low, high), size, k, step in zip(pairs, x.shape[2:], sizes, steps, strict=True)
        ]
    padded = np.pad(x, [(0, 0)] * 2 + pairs, constant_values=outside)
    return windows(padded, sizes, steps, [1] * rank)


def _missing(extent: int, k: int, step: int, end: int) -> int:
    """What must follow for one more window to fit, which has to begin in front of `end`; or nothing."""
    more = -(extent - k) % step
    return more if more and extent + more - k < end else 0


def _window(x: Array) -> tuple[int, ...]:
    return tuple(range(x.ndim, 2 * x.ndim - 2))


@computes("upsample_nearest_neighbor")
def upsample_nearest_neighbor(
    x: Array, scale_factor_height: float = 1, scale_factor_width: float = 1
) -> Array:
    factors = float(scale_factor_height), float(scale_factor_width)
    if any(factor != int(factor) for factor in factors):
        raise ValueError(f"factors {factors}")
    return x.repeat(int(factors[0]), -2).repeat(int(factors[1]), -1)


@computes("upsample_bilinear")
def upsample_bilinear(
    x: Array,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Array:
    half = not align_corners if half_pixel_centers is None else bool(half_pixel_centers)
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if half else "DEFAULT"
    factors = float(scale_factor_height), float(scale_factor_width)
    sizes = [int(np.floor(size * factor)) for size, factor in zip(x.shape[-2:], factors, strict=True)]
    return resize(x, np.array(sizes), 2, "LINEAR", mode)


@computes("resize_bilinear")
def resize_bilinear(
    x: Array, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Array:
    sizes = np.array([int(target_size_height), int(target_size_width)])
    return resize(x, sizes, 2, "LINEAR", sampling_mode)


@computes("resize")
def resize(
    x: Array,
    shape: Array,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Array:
    if interpolation_mode != "LINEAR":
        raise ValueError(f"interpolation_mode {interpolation_mode}")
    count = int(resized_dims)
    result = x
    for axis, size in zip(range(x.ndim - count, x.ndim), shape[-count:], strict=True):
        if size and size != x.shape[axis]:
            result = _interpolate(result, axis, sample_points(x.shape[axis], int(size), sampling_mode))
    return result


def sample_points(size: int, new: int, mode: str) -> Array:
    """Where `new` elements lie on an axis of `size`; the formulas are those of MIL's resize_bilinear."""
    i = np.arange(new, dtype=np.float64)
    if mode == "ALIGN_CORNERS" and new == 1:
        points = np.array([(size - 1) / 2])
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        points = i * (size - 1) / max(new - 1, 1)
    elif mode == "DEFAULT":
        points = i * size / new
    elif mode == "OFFSET_CORNERS":
        points = (i + 0.5) * max(1, size - 1) / new
    elif mode == "UNALIGN_CORNERS":
        points = (i + 0.5) * size / new - 0.5
    else:
        raise ValueError(f"sampling_mode {mode}")
    return np.asarray(np.clip(points, 0, size - 1))


def _interpolate(x: Array, axis: int, points: Array) -> Array:
    low = np.floor(points).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    part = (points - low).astype(np.float32).reshape(-1, *[1] * (x.ndim - axis - 1))
    return np.asarray(x.take(low, axis) * (1 - part) + x.take(high, axis) * part)
