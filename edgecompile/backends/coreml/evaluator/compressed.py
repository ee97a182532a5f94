"""Integers with scales, and weights that are stored in fewer bits."""

from __future__ import annotations

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array, unpack_bits
from edgecompile.backends.coreml.evaluator.registry import computes

_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


@computes("quantize")
def quantize(
    input: Array,  # noqa: A002  (MIL's name)
    scale: Array,
    output_dtype: str,
    zero_point: Array | None = None,
    axis: int | None = None,
) -> Array:
    low, high = _RANGES[output_dtype]
    zero = 0 if zero_point is None else _along(zero_point, input, axis).astype(np.int32)
    return np.clip(np.rint(input / _along(scale, input, axis)) + zero, low, high)


@computes("dequantize", "constexpr_affine_dequantize")
def dequantize(
    scale: Array,
    input: Array | None = None,  # noqa: A002  (MIL's name)
    quantized_data: Array | None = None,
    zero_point: Array | None = None,
    axis: int | None = None,
) -> Array:
    data = quantized_data if input is None else input
    assert data is not None
    zero = np.float32(0) if zero_point is None else _along(zero_point, data, axis).astype(np.float32)
    return (data.astype(np.float32) - zero) * _along(scale, data, axis)


@computes("constexpr_lut_to_dense")
def lut_to_dense(indices: Array, lut: Array, shape: Array | None = None) -> Array:
    """Indices are packed in bytes, for a result of `shape`; or, since iOS 18, they have the shape of the
    result and `lut` has two axes more, of which all but the last but one are of size 1.
    """
    if shape is None:
        return np.asarray(lut.ravel()[indices])
    sizes = tuple(int(size) for size in shape)
    bits = int(np.log2(len(lut)))
    return np.asarray(lut[unpack_bits(indices, bits, int(np.prod(sizes)))].reshape(sizes))


@computes("constexpr_blockwise_shift_scale")
def blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    def stretched(blocks: Array) -> Array:
        for axis, (size, count) in enumerate(zip(data.shape, blocks.shape, strict=True)):
            blocks = blocks.repeat(size // count, axis)
        return blocks.astype(np.float32)

    shifted = data.astype(np.float32) - (0 if offset is None else stretched(offset))
    return shifted * stretched(scale)


def _along(vector: Array, data: Array, axis: int | None) -> Array:
    if vector.ndim == 0:
        return vector
    assert axis is not None
    return vector.reshape([-1 if at == int(axis) % data.ndim else 1 for at in range(data.ndim)])
