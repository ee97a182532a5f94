"""Operations that move elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array
from edgecompile.backends.coreml.evaluator.registry import computes


@computes("reshape")
def reshape(x: Array, shape: Sequence[int]) -> Array:
    return x.reshape(tuple(shape))


@computes("expand_dims")
def expand_dims(x: Array, axes: Sequence[int]) -> Array:
    return np.expand_dims(x, tuple(int(axis) for axis in axes))


@computes("squeeze")
def squeeze(x: Array, axes: Sequence[int] | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(int(axis) for axis in axes))


@computes("transpose")
def transpose(x: Array, perm: Sequence[int]) -> Array:
    return x.transpose(tuple(perm))


@computes("concat")
def concat(values: list[Array] | Array, axis: int, interleave: bool = False) -> Array:
    if interleave:
        raise ValueError("interleave is not known")
    return np.concatenate(values if isinstance(values, list) else [values], int(axis))


@computes("stack")
def stack(values: list[Array], axis: int) -> Array:
    return np.stack(values, int(axis))


@computes("split")
def split(
    x: Array, axis: int, num_splits: int | None = None, split_sizes: Sequence[int] | None = None
) -> list[Array]:
    if split_sizes is None:
        return np.split(x, int(num_splits or 1), int(axis))
    return np.split(x, np.cumsum(split_sizes)[:-1], int(axis))


@computes("slice_by_index")
def slice_by_index(
    x: Array,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Array:
    steps = [1] * x.ndim if stride is None else stride
    free = [False] * x.ndim
    rows = zip(
        begin, end, steps, begin_mask if begin_mask is not None else free,
        end_mask if end_mask is not None else free,
        squeeze_mask if squeeze_mask is not None else free,
        strict=True,
    )  # fmt: skip
    return x[
        tuple(
            int(low)
            if one
            else slice(None if no_low else int(low), None if no_high else int(high), int(step))
            for low, high, step, no_low, no_high, one in rows
        )
    ]


@computes("slice_by_size")
def slice_by_size(x: Array, begin: Sequence[int], size: Sequence[int]) -> Array:
    rows = zip(begin, size, strict=True)
    return x[tuple(slice(int(low), None if count == -1 else int(low + count)) for low, count in rows)]


@computes("pad")
def pad(x: Array, pad: Sequence[int], mode: str = "constant", constant_val: float = 0.0) -> Array:
    pairs = np.asarray(pad, int).reshape(-1, 2)
    widths = [(0, 0)] * (x.ndim - len(pairs)) + [tuple(pair) for pair in pairs]
    if mode == "constant":
        return np.pad(x, widths, constant_values=constant_val)
    return np.pad(x, widths, mode={"reflect": "reflect", "replicate": "edge"}[mode])  # type: ignore[call-overload,no-any-return]


@computes("tile")
def tile(x: Array, reps: Sequence[int]) -> Array:
    return np.tile(x, tuple(reps))


@computes("reverse")
def reverse(x: Array, axes: Sequence[int] | None = None) -> Array:
    return np.flip(x, None if axes is None else tuple(int(axis) for axis in axes))


@computes("gather")
def gather(
    x: Array, indices: Array, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Array:
    if batch_dims:
        raise ValueError("batch_dims is not known")
    return np.take(x, indices, int(axis))


@computes("gather_along_axis")
def gather_along_axis(x: Array, indices: Array, axis: int = 0, validate_indices: bool = False) -> Array:
    return np.take_along_axis(x, indices.astype(np.int64), int(axis))


@computes("gather_nd")
def gather_nd(x: Array, indices: Array, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    if batch_dims:
        raise ValueError("batch_dims is not known")
    return np.asarray(x[tuple(np.moveaxis(indices, -1, 0))])


@computes("topk")
def topk(
    x: Array,
    k: int,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> tuple[Array, ...]:
    order = np.argsort(x if ascending else -x.astype(np.float64), int(axis), kind="stable")
    chosen = np.take(order, np.arange(int(k)), int(axis))
    values = np.take_along_axis(x, chosen, int(axis))
    return (values, chosen) if return_indices else (values,)


@computes("band_part")
def band_part(x: Array, lower: int = -1, upper: int = -1) -> Array:
    rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
    below = (rows - columns <= lower) | (lower < 0)
    above = (columns - rows <= upper) | (upper < 0)
    return np.where(below & above, x, np.zeros((), x.dtype))


@computes("depth_to_space")
def depth_to_space(x: Array, block_size: int) -> Array:
    n, c, h, w = x.shape
    b = int(block_size)
    blocks = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // (b * b), h * b, w * b)


@computes("pixel_shuffle")
def pixel_shuffle(x: Array, upscale_factor: int) -> Array:
    n, c, h, w = x.shape
    b = int(upscale_factor)
    blocks = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, c // (b * b), h * b, w * b)


@computes("space_to_depth")
def space_to_depth(x: Array, block_size: int) -> Array:
    n, c, h, w = x.shape
    b = int(block_size)
    blocks = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return blocks.reshape(n, c * b * b, h // b, w // b)
