from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.compute import Layout
from edgecompile.kernels.compute_normalize import (
    Boxes,
    Statistics,
    local_response_normalize,
    lp_normalize,
    standardize,
)
from edgecompile.kernels.loops import Buffer, RowLoops
from edgecompile.kernels.math import Expr
from tests.support.kernels import compute
from tests.support.operators import Array, assert_close, normal


def plain(_: list[Buffer], __: tuple[Expr, ...], value: Expr) -> Expr:
    return value


def reference(data: Array, axes: tuple[int, ...], epsilon: float = 1e-5) -> Array:
    wide = data.astype("float64")
    mean, variance = wide.mean(axis=axes, keepdims=True), wide.var(axis=axes, keepdims=True)
    return np.asarray((wide - mean) / np.sqrt(variance + epsilon))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_trailing_axes_and_their_statistics(axis: int) -> None:
    data = normal(3, 4, 20)
    axes = tuple(range(axis, 3))
    shape = (*data.shape[:axis], *[1] * (3 - axis))
    wanted = Statistics(("mean", "inverse"), shape)
    result, mean, inverse = compute(
        lambda x: standardize(
            x, [], Boxes.trailing(data.shape, axis), 1e-5, plain, RowLoops(8), wanted=wanted
        ),
        data,
    )
    assert_close(result, reference(data, axes).astype("float32"))
    assert_close(mean, data.mean(axis=axes, keepdims=True))
    assert_close(inverse, 1 / np.sqrt(data.var(axis=axes, keepdims=True) + 1e-5))


def test_a_large_mean_does_not_cancel() -> None:
    data = (normal(2, 64) + 1e4).astype("float32")
    (result,) = compute(
        lambda x: standardize(x, [], Boxes.trailing(data.shape, 1), 1e-5, plain, RowLoops(8)), data
    )
    assert_close(result, reference(data, (1,)).astype("float32"), 2e-3)


@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("channels_last", [False, True])
def test_groups_of_channels(count: int, channels_last: bool) -> None:
    data = normal(2, 6, 3, 5)
    grouped = data.reshape(2, count, 6 // count, 3, 5)
    want = reference(grouped, (2, 3, 4)).reshape(data.shape).astype("float32")
    layout = Layout(channels_last)
    if channels_last:
        data, want = data.transpose(0, 2, 3, 1), want.transpose(0, 2, 3, 1)
    boxes = Boxes.groups(data.shape, count, layout)
    assert_close(compute(lambda x: standardize(x, [], boxes, 1e-5, plain, RowLoops(8)), data)[0], want)


def test_without_centring_it_is_the_root_mean_square() -> None:
    data = normal(3, 17)
    (result,) = compute(
        lambda x: standardize(x, [], Boxes.along(data.shape, 1), 0.0, plain, RowLoops(8), False), data
    )
    assert_close(result, data / np.sqrt((data**2).mean(axis=1, keepdims=True)))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_norm_of_zero_gives_zeros(p: int, axis: int) -> None:
    data = normal(9, 10)
    data[:, 3] = 0
    data[4, :] = 0
    norm = np.linalg.norm(data, p, axis=axis, keepdims=True)
    want = np.divide(data, norm, out=np.zeros_like(data), where=norm > 0)
    (result,) = compute(lambda x: lp_normalize(x, Boxes.along(data.shape, axis), p, RowLoops(8)), data)
    assert_close(result, want)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("beta", [0.75, 0.4])
def test_local_response_sees_only_existing_channels(size: int, beta: float) -> None:
    data = normal(2, 4, 3)
    before = (size - 1) // 2
    energy = np.stack(
        [(data[:, max(0, c - before) : c - before + size] ** 2).sum(axis=1) for c in range(4)], axis=1
    )
    layout = Layout(channels_last=False)
    (result,) = compute(lambda x: local_response_normalize(x, size, 0.3, beta, 1.5, layout), data)
    assert_close(result, data / (1.5 + 0.3 / size * energy) ** beta)
