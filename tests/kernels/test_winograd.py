"""The transforms of Winograd's algorithm as matrices."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.winograd import TILES, transform_of, transform_weights


@pytest.mark.parametrize("tile", TILES)
def test_transformed_product_is_the_convolution(tile: int) -> None:
    transform, rng = transform_of(tile), np.random.default_rng(0)
    size = transform.size
    data, taps = rng.standard_normal((size, size)), rng.standard_normal((3, 3))
    expected = [[np.sum(data[y : y + 3, x : x + 3] * taps) for x in range(tile)] for y in range(tile)]
    left, middle, right = transform.inputs, transform.weights, transform.outputs
    product = (middle @ taps @ middle.T) * (left @ data @ left.T)
    np.testing.assert_allclose(right @ product @ right.T, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("tile", TILES)
def test_transforms_are_exact_in_single_precision(tile: int) -> None:
    for matrix in (transform_of(tile).inputs, transform_of(tile).outputs):
        np.testing.assert_array_equal(matrix, matrix.astype(np.float32))


@pytest.mark.parametrize("tile", TILES)
def test_operations_multiply_by_the_matrices(tile: int) -> None:
    """What the generated code computes, here on arrays in the place of expressions."""
    transform = transform_of(tile)
    columns = list(np.eye(transform.size))
    np.testing.assert_allclose(transform.transform_input(columns), transform.inputs, atol=1e-15)
    np.testing.assert_allclose(transform.transform_output(columns), transform.outputs, atol=1e-15)


@pytest.mark.parametrize("tile", TILES)
def test_weights_of_every_pair_of_channels_are_transformed(tile: int) -> None:
    weights = np.random.default_rng(0).standard_normal((5, 3, 3, 3), dtype=np.float32)
    matrices, g = transform_weights(weights, transform_of(tile)), transform_of(tile).weights
    assert matrices.shape == ((tile + 2) ** 2, 5, 3)
    assert matrices.dtype == np.float32
    expected = (g @ weights[4, 1] @ g.T).reshape(-1)
    np.testing.assert_allclose(matrices[:, 4, 1], expected, rtol=1e-6)
