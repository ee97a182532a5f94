"""Constants as armv7em.c takes them, and the workspace that its functions need (bytes).

A parameter entry is (multiplier, offset, shift, bias), four int32 a channel. In the fast form rounding and
output zero point are in `offset`, so that requantizing a sum takes three instructions (rounding "single":
SMMLA, ASR, SSAT) or six ("double").
"""

from __future__ import annotations

import numpy as np

from edgecompile.kernels.cortex_m.parameters import Array, Factors, Geometry, Output, Packed

# Beyond, the output's zero point shifted to the left would not fit next to the product.
_MAX_SHIFT = 22
# The inner kernels take so many channels together.
_TILE_CHANNELS = 2
_ROW_CHANNELS = 4
_LANES = 4
# The least shift at which a fast form is exact, and what is subtracted from it.
_FAST_SHIFT = {"single": (2, 1), "double": (1, 0)}


def pack_conv(weights: Array, groups: int, factors: Factors, output: Output) -> Packed:
    """int8 weights [O, KH, KW, C/groups]; packed [groups][pairs of channels][K/4][2][4]."""
    parameters, fast = _parameters(weights, factors, output)
    per_group = len(weights) // groups
    grouped = weights.reshape(groups, per_group, -1)
    padded = _pad(_pad(grouped, 1, _TILE_CHANNELS), 2, 4)
    tiles = padded.reshape(groups, -1, _TILE_CHANNELS, padded.shape[2] // 4, 4).transpose(0, 1, 3, 2, 4)
    entries = _pad(parameters.reshape(groups, per_group, 4), 1, _TILE_CHANNELS)
    return Packed(np.ascontiguousarray(tiles), entries.reshape(-1, 4), fast)


def pack_depthwise(weights: Array, factors: Factors, output: Output) -> Packed:
    """int8 weights [O, KH, KW]; packed int16 [blocks of 4 channels][KW][pairs of rows][4][2]."""
    parameters, fast = _parameters(weights, factors, output)
    height = weights.shape[1]
    lanes = _pad(_pad(weights.astype(np.int16), 0, _LANES), 1, 2)
    blocks = lanes.reshape(-1, _LANES, lanes.shape[1] // 2, 2, lanes.shape[2]).transpose(0, 4, 2, 1, 3).copy()
    if height % 2:
        # Lanes 2 and 3 find the element of a row without a partner in the upper half.
        blocks[:, :, -1, 2:] = blocks[:, :, -1, 2:, ::-1]
    return Packed(np.ascontiguousarray(blocks), _pad(parameters, 0, _LANES), fast)


def pack_gemm(weights: Array, factors: Factors, output: Output) -> Packed:
    """int8 weights [N, K]; packed [blocks of 4 channels][K/4][4][4]."""
    parameters, fast = _parameters(weights, factors, output)
    padded = _pad(_pad(weights, 0, _ROW_CHANNELS), 1, 4)
    blocks = padded.reshape(-1, _ROW_CHANNELS, padded.shape[1] // 4, 4).transpose(0, 2, 1, 3)
    return Packed(np.ascontiguousarray(blocks), _pad(parameters, 0, _ROW_CHANNELS), fast)


def conv_workspace(geometry: Geometry) -> int:
    """Three windows in int16, and in bytes unless they are always whole words inside of the image."""
    per_group = geometry.x_shape[3] // geometry.groups
    window = -(-geometry.kernel[0] * geometry.kernel[1] * per_group // 4) * 4
    direct = geometry.kernel == (1, 1) and per_group % 4 == 0 and geometry.stays_inside
    return 6 * window + (0 if direct else 3 * (window + 4))


def depthwise_workspace(geometry: Geometry) -> int:
    """The rows under one output row for four channels, in int16."""
    width = geometry.kernel[1]
    if geometry.dilations[1] == 1:
        width += (geometry.y_shape[2] - 1) * geometry.strides[1]
    return width * -(-geometry.kernel[0] // 2) * 4 * _LANES


def gemm_workspace(depth: int) -> int:
    """One row in int16."""
    return -(-depth // 4) * 8


def _parameters(weights: Array, factors: Factors, output: Output) -> tuple[Array, bool]:
    """int32 [O, 4], in the fast form where that is exact for every channel."""
    bias = factors.bias.astype(np.int64)
    if factors.shift is None:
        bits = factors.multiplier.astype(np.float32).view(np.int32)
        return _entries(bits, 0, 0, bias), False
    multiplier, shift = factors.multiplier.astype(np.int64), factors.shift.astype(np.int64)
    least, less = _FAST_SHIFT[output.rounding]
    reach = np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1) * 128
    fits = (shift >= least) & (shift - less <= _MAX_SHIFT) & (reach + np.abs(bias) < 1 << 30)
    right = np.where(fits, shift - less, 1)
    offset = (1 << (right - 1)) + output.y_zero * (1 << right)
    fast, start = multiplier.copy(), bias.copy()
    for c in np.flatnonzero(~fits):
        ends = {
            _requantized(int(bias[c] + end), int(multiplier[c]), int(shift[c]), output)
            for end in (-reach[c], reach[c])
        }
        if len(ends) > 1 or reach[c] >= 1 << 30:
            return _entries(multiplier, 0, shift, bias), False
        # Whatever the input, the channel has this value: trained networks have such channels.
        fast[c], offset[c], start[c] = 0, ends.pop() * 2 + 1, 0
    return _entries(fast, offset, right, start), True


def _requantized(total: int, multiplier: int, shift: int, output: Output) -> int:
    """The output for a sum, saturated (core/integer.py, rounding "single" or "double")."""
    if output.rounding == "single":
        scaled = (total * multiplier + (1 << (30 + shift))) >> (31 + shift)
    else:
        left, right = max(-shift, 0), max(shift, 0)
        shifted = min(max(total << left, -(1 << 31)), (1 << 31) - 1)
        high = (shifted * multiplier + (1 << 30)) >> 31
        magnitude = (abs(high) + (1 << right >> 1)) >> right
        scaled = -magnitude if high < 0 else magnitude
    return min(max(scaled + output.y_zero, -128), 127)


def _entries(multiplier: Array, offset: Array | int, shift: Array | int, bias: Array) -> Array:
    columns = np.broadcast_arrays(multiplier, offset, shift, bias)
    return np.stack(columns, axis=1).astype(np.int32)


def _pad(array: Array, axis: int, multiple: int) -> Array:
    """`array` with zeros behind it along `axis`, up to a multiple."""
    missing = -array.shape[axis] % multiple
    return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])
