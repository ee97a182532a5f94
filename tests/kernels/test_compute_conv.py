from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.compute import Layout, Window
from edgecompile.kernels.compute_conv import (
    col2im,
    conv,
    conv_transpose,
    pack_conv_weights,
    pack_transposed_weights,
    read_conv,
    read_packed,
    read_transposed,
)
from tests.support.kernels import compute
from tests.support.operators import Array, assert_close, normal

NCHW, NHWC = Layout(channels_last=False), Layout(channels_last=True)
UNIT = Window((3, 3), (1, 1), (1, 1), (0, 0), (0, 0))


def slow_conv(data: Array, weights: Array, groups: int = 1) -> Array:
    """Unpadded, unit-stride 2-D convolution [N, C, H, W] by its definition."""
    outputs, per_group, height, width = weights.shape
    shape = (data.shape[0], outputs, data.shape[2] - height + 1, data.shape[3] - width + 1)
    result = np.zeros(shape, np.float64)
    for o in range(outputs):
        first = o // (outputs // groups) * per_group
        for i in range(height):
            for j in range(width):
                patch = data[:, first : first + per_group, i : i + shape[2], j : j + shape[3]]
                result[:, o] += np.einsum("nchw,c->nhw", patch, weights[o, :, i, j])
    return result


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("scheduled", [False, True])
def test_channels_last_conv_with_packed_weights(groups: int, scheduled: bool) -> None:
    data, weights = normal(2, 6, 7, 5), normal(12, 6 // groups, 3, 3, seed=1)
    packed = pack_conv_weights(weights)
    assert packed.shape == (3, 3, 6 // groups, 12)

    (result,) = compute(
        lambda x, w: conv(x, read_packed(w), UNIT, groups, (2, 5, 3, 12), NHWC),
        data.transpose(0, 2, 3, 1),
        packed,
        scheduled=scheduled,
    )
    assert_close(result.transpose(0, 3, 1, 2), slow_conv(data, weights, groups).astype("float32"))


def test_channels_first_conv_with_run_time_weights() -> None:
    data, weights = normal(1, 4, 6, 6), normal(8, 2, 3, 3, seed=1)
    (result,) = compute(lambda x, w: conv(x, read_conv(w), UNIT, 2, (1, 8, 4, 4), NCHW), data, weights)
    assert_close(result, slow_conv(data, weights, 2).astype("float32"))


def test_half_precision_sums_in_single() -> None:
    data, weights = np.full((1, 1, 64, 64), 0.1, "float16"), np.full((1, 1, 64, 64), 1.0, "float16")
    window = Window((64, 64), (1, 1), (1, 1), (0, 0), (0, 0))
    (result,) = compute(lambda x, w: conv(x, read_conv(w), window, 1, (1, 1, 1, 1), NCHW), data, weights)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, 4096 * float(np.float16(0.1)), rtol=1e-5)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (2, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_transposed_conv_is_the_gradient_of_conv(stride: int, dilation: int, packed: bool) -> None:
    data, weights = normal(1, 4, 5), normal(4, 3, 4, seed=1)
    extent = (5 - 1) * stride + 3 * dilation + 1
    want = np.zeros((1, 6, extent), np.float64)
    for x in range(5):
        for k in range(4):
            for group in range(2):
                product = data[0, 2 * group : 2 * group + 2, x] @ weights[2 * group : 2 * group + 2, :, k]
                want[0, 3 * group : 3 * group + 3, x * stride + k * dilation] += product
    window = Window((4,), (stride,), (dilation,), (1,), (0,))
    shape = (1, 6, extent - 1)
    given = pack_transposed_weights(weights, 2) if packed else weights

    (result,) = compute(
        lambda x, w: conv_transpose(
            x, read_packed(w) if packed else read_transposed(w, 2), window, 2, shape, NCHW
        ),
        data,
        given,
    )
    assert_close(result, want[:, :, 1:].astype("float32"))


def test_overlapping_blocks_are_summed() -> None:
    blocks = np.ones((1, 4, 4), "float32")
    window = Window((2, 2), (1, 1), (1, 1), (0, 0), (0, 0))
    (result,) = compute(lambda x: col2im(x, window, (1, 1, 3, 3)), blocks)
    np.testing.assert_array_equal(result[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
