from __future__ import annotations

import numpy as np
import pytest

from tests.support.operators import check_node, compiled, node_model, normal


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("constant", [True, False])
def test_gather(axis: int, shape: tuple[int, ...], dtype: str, constant: bool) -> None:
    indices = np.random.default_rng(0).integers(-4, 4, shape).astype(dtype)
    inputs = [normal(4, 5, 4)[:, :4], np.asarray(indices)]
    check_node("Gather", inputs, constants={1} if constant else (), axis=axis)


def test_indices_outside_read_the_border() -> None:
    data, indices = normal(3), np.array([-99, 99], np.int64)
    (result,) = compiled(node_model("Gather", [data, indices]), [data, indices], [normal(2)])
    np.testing.assert_array_equal(result, data[[0, 2]])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_elements(axis: int) -> None:
    indices = np.random.default_rng(0).integers(-3, 3, (3, 2, 3))
    check_node("GatherElements", [normal(3, 3, 3), indices], axis=axis)


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("depth", [1, 2])
def test_gather_nd(batch: int, depth: int) -> None:
    indices = np.random.default_rng(0).integers(-2, 2, (2, 3, depth))
    check_node("GatherND", [normal(2, 2, 3, 4)[:, :, :2], indices], batch_dims=batch)


def test_array_feature_extractor() -> None:
    inputs = [normal(3, 4), np.array([0, 2], np.int64)]
    check_node("ArrayFeatureExtractor", inputs, domain="ai.onnx.ml")
