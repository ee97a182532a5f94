from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from edgecompile.errors import UnsupportedError
from tests.support.operators import check_node, compiled, node_model, normal


def _tensor(values: list[float], dtype: str = "float32") -> Any:
    return numpy_helper.from_array(np.array(values, dtype))


def _forest(**more: Any) -> dict[str, Any]:
    """Two trees: x0 <= 0 ? (x1 < 1 ? leaf 0 : leaf 1) : leaf 2, and x1 >= 0.5 ? leaf 3 : leaf 4."""
    nodes = {
        "nodes_featureids": [0, 1, 1],
        "nodes_splits": _tensor([0.0, 1.0, 0.5]),
        "nodes_modes": _tensor([0, 1, 2], "uint8"),
        "nodes_truenodeids": [1, 0, 3],
        "nodes_trueleafs": [0, 1, 1],
        "nodes_falsenodeids": [2, 1, 4],
        "nodes_falseleafs": [1, 1, 1],
        "tree_roots": [0, 2],
    }
    leaves = {"leaf_targetids": [0, 1, 0, 1, 0], "leaf_weights": _tensor([1.0, 2.0, -3.0, 4.0, 0.5])}
    return nodes | leaves | {"n_targets": 2, "domain": "ai.onnx.ml"} | more


@pytest.mark.parametrize("aggregate", [0, 1, 2, 3])
def test_aggregation(aggregate: int) -> None:
    rows = np.array([[-1, 0], [-1, 2], [1, 0], [1, 2], [0, 1]], np.float32)
    check_node("TreeEnsemble", [rows], "onnx", aggregate_function=aggregate, **_forest())


@pytest.mark.parametrize("transform", [0, 1, 2])
def test_transformation(transform: int) -> None:
    rows = normal(9, 2)
    model = node_model("TreeEnsemble", [rows], post_transform=transform, **_forest())
    like = np.zeros((9, 2), np.float32)
    (scores,) = compiled(node_model("TreeEnsemble", [rows], **_forest()), [rows], [like])
    powers = np.exp(scores)
    want = [scores, powers / powers.sum(1, keepdims=True), 1 / (1 + 1 / powers)][transform]
    np.testing.assert_allclose(compiled(model, [rows], [like])[0], want, rtol=1e-5)


def test_missing_values_follow_the_marked_branch() -> None:
    rows = np.array([[np.nan, 0]], np.float32)
    for marks, want in (([1, 0, 0], [1.5, 0]), ([0, 0, 0], [-2.5, 0])):
        attributes = _forest(nodes_missing_value_tracks_true=marks)
        model = node_model("TreeEnsemble", [rows], **attributes)
        assert compiled(model, [rows], [np.zeros((1, 2), np.float32)])[0].tolist() == [want]


def test_unknown_transformation_is_refused() -> None:
    rows = normal(1, 2)
    model = node_model("TreeEnsemble", [rows], post_transform=4, **_forest())
    with pytest.raises(UnsupportedError, match="post_transform 4 is not known"):
        compiled(model, [rows], [np.zeros((1, 2), np.float32)])
