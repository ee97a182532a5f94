from __future__ import annotations

import numpy as np
import pytest
from tvm import te, tirx

from edgecompile.kernels.compute_resize import AxisTaps, resize
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal

SAME = AxisTaps(1, lambda at, tap: at)


def test_choosing_elements_copies_them() -> None:
    data = np.arange(6, dtype="int64").reshape(2, 3)
    double = AxisTaps(1, lambda at, tap: tirx.indexdiv(at, 2))
    (result,) = compute(lambda x: resize(x, [SAME, double], (2, 6), 0.0), data)
    np.testing.assert_array_equal(result, np.repeat(data, 2, axis=1))


@pytest.mark.parametrize("taps", [2, 5])
def test_weights_of_both_axes_multiply(taps: int) -> None:
    """Two taps an axis are written out, five become a loop."""
    data, weights = normal(6, 6), normal(6 - taps + 1, taps, seed=1)

    def definition(x: te.Tensor, w: te.Tensor) -> te.Tensor:
        axis = AxisTaps(taps, lambda at, tap: at + tap, lambda at, tap: w(at, tap))
        return resize(x, [axis, axis], (6 - taps + 1,) * 2, 0.0)

    (result,) = compute(definition, data, weights)
    spread = np.zeros((6 - taps + 1, 6))
    for row in range(len(spread)):
        spread[row, row : row + taps] = weights[row]
    assert_close(result, (spread @ data @ spread.T).astype("float32"))


def test_integers_round_to_even_and_saturate() -> None:
    data = np.array([1, 2, 250, 0], "uint8")
    factors = np.array([[0.5], [1.25], [2.0], [-3.0]], "float32")

    def definition(x: te.Tensor, w: te.Tensor) -> te.Tensor:
        axis = AxisTaps(1, lambda at, tap: at, lambda at, tap: w(at, tap))
        return resize(x, [axis], (4,), 0.0)

    np.testing.assert_array_equal(compute(definition, data, factors)[0], [0, 2, 255, 0])


def test_what_lies_outside_is_extrapolated() -> None:
    data = normal(4)
    axis = AxisTaps(1, lambda at, tap: at, outside=lambda at: at > 1)
    (result,) = compute(lambda x: resize(x, [axis], (4,), 7.0), data)
    assert_close(result, np.array([data[0], data[1], 7, 7], "float32"))
