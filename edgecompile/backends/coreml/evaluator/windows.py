"""Windows over spatial axes, for convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array


def paddings(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pad_type: str,
    pad: Sequence[int] | None,
) -> list[tuple[int, int]]:
    """Elements in front of and behind each spatial axis, as `pad_type` says. Raises ValueError."""
    if pad_type == "valid":
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        numbers = [int(number) for number in (pad if pad is not None else [0] * 2 * len(sizes))]
        return list(zip(numbers[::2], numbers[1::2], strict=True))
    if pad_type not in ("same", "same_lower"):
        raise ValueError(f"pad_type {pad_type}")
    pairs = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if pad_type == "same" else (more, less))
    return pairs


def windows(x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """A view [N, C, *positions, *kernel] of x [N, C, *spatial]."""
    reach = [(k - 1) * dilation + 1 for k, dilation in zip(kernel, dilations, strict=True)]
    axes = tuple(range(2, x.ndim))
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, axes)
    where = [slice(None)] * 2 + [slice(None, None, step) for step in (*strides, *dilations)]
    return np.asarray(seen[tuple(where)])
