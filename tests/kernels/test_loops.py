from __future__ import annotations

import numpy as np
import pytest
from tvm import te, tirx

from edgecompile.kernels.loops import Buffer, Row, each, local, nest
from edgecompile.kernels.math import const
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal


@pytest.mark.parametrize("extent", [1, 7, 8, 9, 40])
@pytest.mark.parametrize("vector", [False, True])
def test_a_row_is_reduced_once_over_each_element(extent: int, vector: bool) -> None:
    row = Row(extent, vector)
    assert row.lanes == (min(8, 1 << (extent.bit_length() - 1)) if vector else 1)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        partial = local(row.lanes, "float32")
        writes[0][0] = row.reduce(partial, const(0, "float32"), lambda a, b: a + b, lambda i: reads[0][i])
        writes[0][1] = row.reduce(partial, const(-9, "float32"), tirx.max, lambda i: reads[0][i])

    data = normal(extent)
    (result,) = compute(lambda x: nest("reduce", [x], [((2,), "float32")], body), data)
    assert_close(result, np.array([data.sum(), data.max()], "float32"))


@pytest.mark.parametrize("extents", [(), (3,), (2, 3, 2)])
def test_each_visits_a_box_in_order(extents: tuple[int, ...]) -> None:
    count = int(np.prod(extents))

    def body(_: list[Buffer], writes: list[Buffer]) -> None:
        seen = local(1, "int32")
        seen[0] = const(0, "int32")
        with each(extents) as index:
            flat: tirx.Expr = const(0, "int32")
            for at, extent in zip(index, extents, strict=True):
                flat = flat * extent + at
            writes[0][flat] = seen[0]
            seen[0] = seen[0] + 1

    (result,) = compute(lambda x: nest("visit", [x], [((count,), "int32")], body), normal(1))
    np.testing.assert_array_equal(result, np.arange(count))


def test_a_nest_feeds_and_is_fed_by_compute_definitions() -> None:
    def double(reads: list[Buffer], writes: list[Buffer]) -> None:
        with each((4,)) as index:
            writes[0][index] = reads[0][index] + reads[0][index]

    def definition(x: te.Tensor) -> te.Tensor:
        before = te.compute((4,), lambda i: x[i] + 1.0)
        (doubled,) = nest("double", [before], [((4,), "float32")], double)
        return te.compute((4,), lambda i: doubled[i] * 3.0)

    data = normal(4)
    assert_close(compute(definition, data)[0], (data + 1) * 6)
