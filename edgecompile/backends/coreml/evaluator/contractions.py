"""Convolutions and matrix products, as sums of products of float32."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array
from edgecompile.backends.coreml.evaluator.registry import computes
from edgecompile.backends.coreml.evaluator.windows import paddings, windows


@computes("conv")
def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Array:
    rank = x.ndim - 2
    steps, spread = _steps(strides, rank), _steps(dilations, rank)
    kernel = weight.shape[2:]
    padded = np.pad(x, [(0, 0)] * 2 + paddings(x.shape[2:], kernel, steps, spread, pad_type, pad))
    seen = windows(padded, kernel, steps, spread)
    result = np.concatenate(
        [
            _products(part, filters)
            for part, filters in zip(
                np.split(seen, int(groups), 1), np.split(weight, int(groups), 0), strict=True
            )
        ]
        if groups != x.shape[1] or weight.shape[0] != x.shape[1]
        else [_depthwise(seen, weight)],
        axis=1,
    )
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def _products(seen: Array, filters: Array) -> Array:
    """Windows [N, C, *out, *kernel] times filters [O, C, *kernel] as one matrix product."""
    rank = filters.ndim - 2
    batch, spatial = seen.shape[0], seen.shape[2 : 2 + rank]
    order = (0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank))
    rows = seen.transpose(order).reshape(-1, filters[0].size)
    result = rows @ filters.reshape(len(filters), -1).T
    return np.moveaxis(result.reshape(batch, *spatial, len(filters)), -1, 1)


def _depthwise(seen: Array, weight: Array) -> Array:
    rank = weight.ndim - 2
    out, kernel = string.ascii_lowercase[2 : 2 + rank], string.ascii_lowercase[10 : 10 + rank]
    return np.asarray(np.einsum(f"ab{out}{kernel},b{kernel}->ab{out}", seen, weight[:, 0]))


@computes("conv_transpose")
def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    groups: int = 1,
    output_shape: Sequence[int] | None = None,
) -> Array:
    rank, parts = x.ndim - 2, int(groups)
    steps, spread = _steps(strides, rank), _steps(dilations, rank)
    if pad_type not in ("valid", "custom") or (output_shape is not None and pad_type == "same"):
        raise ValueError(f"pad_type {pad_type} is not known")
    cut = [(0, 0)] * rank if pad_type == "valid" or pad is None else _pairs(pad)
    kernel = weight.shape[2:]
    axes = zip(x.shape[2:], steps, kernel, spread, strict=True)
    full = [step * (size - 1) + (k - 1) * gap + 1 for size, step, k, gap in axes]
    channels = weight.shape[1] * parts
    result = np.zeros((len(x), channels, *full), np.float32)
    for group, (data, filters) in enumerate(
        zip(np.split(x, parts, 1), np.split(weight, parts, 0), strict=True)
    ):
        chosen = slice(group * weight.shape[1], (group + 1) * weight.shape[1])
        for tap in np.ndindex(*kernel):
            part = np.moveaxis(np.tensordot(data, filters[(..., *tap)], ([1], [0])), -1, 1)
            where = [
                slice(at * gap, at * gap + step * (size - 1) + 1, step)
                for at, gap, step, size in zip(tap, spread, steps, x.shape[2:], strict=True)
            ]
            result[(slice(None), chosen, *where)] += part
    ends = [size - high for size, (_, high) in zip(full, cut, strict=True)]
    result = result[
        (slice(None), slice(None), *(slice(low, end) for (low, _), end in zip(cut, ends, strict=True)))
    ]
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


@computes("linear")
def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    product = x @ weight.T
    return product if bias is None else product + bias


@computes("matmul")
def matmul(x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    left = np.swapaxes(x, -1, -2) if transpose_x else x
    right = np.swapaxes(y, -1, -2) if transpose_y else y
    return np.asarray(np.matmul(left, right))


@computes("einsum")
def einsum(values: list[Array], equation: Any) -> Array:
    return np.asarray(np.einsum(str(equation), *values))


def _steps(given: Sequence[int] | None, rank: int) -> list[int]:
    return [1] * rank if given is None else [int(number) for number in given]


def _pairs(pad: Sequence[int]) -> list[tuple[int, int]]:
    numbers = [int(number) for number in pad]
    return list(zip(numbers[::2], numbers[1::2], strict=True))
