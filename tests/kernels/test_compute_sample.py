from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_sample import Deformation, Sampling, deform_conv, grid_sample
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_identity_grid_gives_the_image(mode: str, align_corners: bool) -> None:
    data = normal(1, 2, 4, 5)
    height, width = (
        np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1 for n in (4, 5)
    )
    grid = np.stack(np.meshgrid(width, height), axis=-1)[None].astype("float32")
    (result,) = compute(lambda x, g: grid_sample(x, g, Sampling(mode, "zeros", align_corners)), data, grid)
    assert_close(result, data, 2e-6)


@pytest.mark.parametrize(
    ("padding", "want"),
    [("zeros", [0, 0, 0]), ("border", [1, 3, 3]), ("reflection", [2, 2, 1])],
)
def test_what_lies_beyond_the_borders(padding: str, want: list[float]) -> None:
    """Elements 1, 2, 3 at coordinates -1, 0, 1: what is at -2, 2 and 3?"""
    data = np.array([1, 2, 3], "float32").reshape(1, 1, 3)
    grid = np.array([-2, 2, 3], "float32").reshape(1, 3, 1)
    (result,) = compute(lambda x, g: grid_sample(x, g, Sampling("linear", padding, True)), data, grid)
    assert_close(result.ravel(), np.array(want, "float32"))


def test_an_image_of_one_element_reflects_onto_itself() -> None:
    data, grid = np.full((1, 1, 1), 5, "float32"), np.array([[[-3.0], [0.0], [4.0]]], "float32")
    (result,) = compute(lambda x, g: grid_sample(x, g, Sampling("linear", "reflection", True)), data, grid)
    np.testing.assert_array_equal(result.ravel(), [5, 5, 5])


def test_without_offsets_a_deformable_convolution_is_a_convolution() -> None:
    data, weights = normal(1, 2, 5), normal(3, 2, 2, seed=1)
    offset = np.zeros((1, 2, 4), "float32")
    deformation = Deformation(Window((2,), (1,), (1,), (0,), (0,)), 1, 1)
    (result,) = compute(
        lambda x, w, o: deform_conv(x, w, o, None, None, deformation, (1, 3, 4)), data, weights, offset
    )
    want = np.stack([np.einsum("ck,ock->o", data[0, :, i : i + 2], weights) for i in range(4)], axis=1)
    assert_close(result[0], want)
