"""Constants as mve_*.c take them, and the workspace that its functions need (bytes).

A parameter entry of a channel is (bias, multiplier, -right, left): the sum is shifted left, multiplied, and
shifted right. Products take the entries of four channels as four vectors.
"""

from __future__ import annotations

import numpy as np

from edgecompile.kernels.cortex_m.parameters import Array, Factors, Geometry, Output, Packed

# Bytes of a vector; channels that are requantized together; pixels that are multiplied together.
_LANES = 16
_QUAD = 4
_TILE_PIXELS = 3
# A strip of windows grows up to this size, if it is not one tile.
_STRIP_BYTES = 4096
# Depthwise: pixels that are requantized together, bytes of so many rows of a pixel, and of a channel's line.
_FOUR = 4
_UNIT_ROWS = 3
_UNIT = 4
_LINE_BYTES = 256


def pack_conv(weights: Array, groups: int, factors: Factors, output: Output) -> Packed:
    """int8 weights [O, KH, KW, C/groups]; packed [groups][O/4][2][K/16][2][16].

    K is in the order (KW, KH, C), which lets windows share the columns of an image; in the order (KH, KW, C)
    where a row of the window fits a vector.
    """
    _, _, width, channels = weights.shape
    by_rows = groups == 1 and width * channels <= _LANES
    ordered = weights if by_rows else weights.transpose(0, 2, 1, 3)
    return _pack_products(ordered.reshape(groups, len(weights) // groups, -1), factors, output)


def pack_gemm(weights: Array, factors: Factors, output: Output) -> Packed:
    """int8 weights [N, K]; packed [N/4][2][K/16][2][16]."""
    return _pack_products(weights[np.newaxis], factors, output)


def conv_workspace(geometry: Geometry) -> int:
    """The strip under some pixels of an output row, and the zero point in a vector."""
    (height, width), (_, step) = geometry.kernel, geometry.strides
    channels = geometry.x_shape[3] // geometry.groups
    if _reads_in_place(geometry):
        return gemm_workspace(channels)
    by_rows = geometry.groups == 1 and width * channels <= _LANES
    columns = not by_rows and geometry.dilations[1] == 1
    pixel = step * height * channels if columns else height * width * channels
    tile = max(_STRIP_BYTES // pixel // _TILE_PIXELS, 1) * _TILE_PIXELS
    pixels = min(geometry.y_shape[2], tile)
    strip = ((pixels - 1) * step + width) * height * channels if columns else pixels * pixel
    # A vector at the start of the last window may be longer than the window.
    return _LANES + strip + _LANES


def gemm_workspace(depth: int) -> int:
    """A copy of the last rows, for the case that a vector is longer than a row."""
    return 3 * _LANES if depth < _LANES else _LANES


def pack_depthwise(weights: Array, factors: Factors, output: Output) -> Packed:
    """int8 weights [O, KH, KW]; packed [KH, KW, O]: they are brought into the order of a strip when used."""
    entries, fast = _entries(factors, output)
    return Packed(np.ascontiguousarray(weights.transpose(1, 2, 0)), entries, fast)


def depthwise_workspace(geometry: Geometry) -> int:
    """For 16 channels lines of turned pixels and weights; where results go; the zero point in a vector."""
    outputs = geometry.y_shape[1:3]
    fours = [_round_up(outputs[axis], _FOUR) * outputs[1 - axis] for axis in (0, 1)]
    slide = 0 if fours[0] < fours[1] else 1
    stride = geometry.strides[slide]
    span = (geometry.kernel[slide] - 1) * geometry.dilations[slide] + 1
    unit = _UNIT * -(-geometry.kernel[1 - slide] // _UNIT_ROWS)
    # C divides towards zero, which makes a difference only below the maximum.
    pixels = min(outputs[slide], max((_LINE_BYTES // unit - span) // stride + 1, _FOUR))
    row = _round_up((pixels - 1) * stride + span, stride)
    fitting = max(_LINE_BYTES // (row * unit), 1)
    rows = 1 if pixels < outputs[slide] else min(fitting, outputs[1 - slide])
    results = _round_up((rows - 1) * (row // stride) + pixels, _FOUR)
    before = 2 * 4 * results + _LANES + (_FOUR - 1) * stride * unit
    return before + _LANES * rows * row * unit + _LANES * _round_up(span * unit, _LANES)


def _reads_in_place(geometry: Geometry) -> bool:
    inside = all(
        (geometry.y_shape[axis] - 1) * geometry.strides[axis - 1] < geometry.x_shape[axis] for axis in (1, 2)
    )
    return geometry.kernel == (1, 1) and geometry.pads == (0, 0) and inside


def _pack_products(weights: Array, factors: Factors, output: Output) -> Packed:
    """`weights` [groups, O, K]."""
    groups, channels, _ = weights.shape
    entries, fast = _entries(factors, output)
    padded = _pad(_pad(weights, 1, _QUAD), 2, _LANES)
    # Channel 4 i + 2 j + p is member j of pair p.
    quads = padded.reshape(groups, -1, 2, 2, padded.shape[2] // _LANES, _LANES).transpose(0, 1, 3, 4, 2, 5)
    rows = _pad(entries.reshape(groups, channels, 4), 1, _QUAD)
    vectors = rows.reshape(groups, -1, _QUAD, 4).transpose(0, 1, 3, 2)
    return Packed(np.ascontiguousarray(quads), np.ascontiguousarray(vectors), fast)


def _entries(factors: Factors, output: Output) -> tuple[Array, bool]:
    """int32 [O, 4]; fast where every channel is shifted to the right."""
    if factors.shift is None:
        bits = factors.multiplier.astype(np.float32).view(np.int32)
        zeros = np.zeros_like(bits)
        return np.stack([factors.bias, bits, zeros, zeros], axis=1).astype(np.int32), False
    shift = np.where(factors.multiplier == 0, 1, factors.shift.astype(np.int64))
    # Rounding "single" is done by the shift to the right, which therefore must not be 0.
    least = 1 if output.rounding == "single" else 0
    right, left = np.maximum(shift, least), np.maximum(least - shift, 0)
    entries = np.stack([factors.bias, factors.multiplier, -right, left], axis=1)
    return entries.astype(np.int32), bool((shift > 0).all())


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _pad(array: Array, axis: int, multiple: int) -> Array:
    """`array` with zeros behind it along `axis`, up to a multiple."""
    missing = -array.shape[axis] % multiple
    return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])
