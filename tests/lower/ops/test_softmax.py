from __future__ import annotations

import pytest

from tests.support.operators import check_node, normal


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_along_every_axis(op_type: str, axis: int, emit: str) -> None:
    check_node(op_type, [normal(3, 10, 19) * 20], axis=axis, emit=emit, rtol=2e-6)


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
def test_double_precision(op_type: str) -> None:
    check_node(op_type, [normal(4, 9, dtype="float64")], rtol=1e-12)
