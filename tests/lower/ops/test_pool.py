from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgecompile.core.fused import DOMAIN
from tests.support.operators import check_node, normal

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Case = dict[str, Any]


@st.composite
def windows(draw: st.DrawFn, rank: int) -> Case:
    """Attributes of a pool, and extents on which it has a result."""
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    attributes: Case = {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "dilations": [draw(st.integers(1, 2)) for _ in range(rank)],
        "ceil_mode": draw(st.integers(0, 1)),
    }
    auto_pad = draw(st.sampled_from(("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")))
    if auto_pad == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, k // 2)) for k in kernel + kernel]
    else:
        attributes["auto_pad"] = auto_pad
        if auto_pad != "VALID":
            # onnxruntime pads as if there were no dilation, and pads negatively where strides are larger
            attributes["dilations"] = [1] * rank
            attributes["strides"] = [min(s, k) for s, k in zip(attributes["strides"], kernel, strict=True)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, attributes["dilations"], strict=True)]
    return {"extents": [draw(st.integers(r, r + 7)) for r in reach], "attributes": attributes}


@SLOW
@given(st.integers(1, 3).flatmap(windows), st.booleans())
def test_max_pool_and_its_positions(case: Case, with_positions: bool) -> None:
    outputs = ["y0", "y1"] if with_positions else ["y0"]
    check_node("MaxPool", [normal(2, 3, *case["extents"])], outputs=outputs, **case["attributes"])


@SLOW
@given(st.integers(1, 3).flatmap(windows), st.integers(0, 1))
def test_average_pool_geometry(case: Case, count_include_pad: int) -> None:
    attributes = case["attributes"] | {"count_include_pad": count_include_pad}
    # With ceil_mode onnxruntime counts what lies beyond the padding; ONNX does not.
    assume(not (count_include_pad and attributes["ceil_mode"]))
    check_node("AveragePool", [normal(2, 3, *case["extents"])], **attributes)


@SLOW
@given(windows(2), st.sampled_from((1, 2, 3)))
def test_lp_pool_geometry(case: Case, p: int) -> None:
    attributes = case["attributes"] | {"p": p, "ceil_mode": 0}
    check_node("LpPool", [normal(1, 3, *case["extents"])], **attributes)


@pytest.mark.parametrize("count_include_pad", [0, 1])
def test_average_of_ceil_mode_as_onnx_says(count_include_pad: int) -> None:
    attributes: dict[str, Any] = {
        "kernel_shape": [3, 3],
        "strides": [2, 2],
        "pads": [1, 1, 1, 1],
        "ceil_mode": 1,
    }
    check_node("AveragePool", [normal(1, 2, 6, 6)], "onnx", count_include_pad=count_include_pad, **attributes)


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("MaxPoolNhwc", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
        ("AveragePoolNhwc", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("LpPoolNhwc", {"kernel_shape": [2, 2], "p": 2}),
        ("GlobalAveragePoolNhwc", {}),
        ("GlobalMaxPoolNhwc", {}),
        ("GlobalLpPoolNhwc", {"p": 1, "opset": 21}),
        ("MaxPoolNhwcRelu", {"kernel_shape": [2, 2]}),
    ],
)
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_channels_last_pools(op_type: str, attributes: Case, emit: str) -> None:
    check_node(op_type, [normal(2, 7, 6, 9)], domain=DOMAIN, emit=emit, **attributes)


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("extents", [(5,), (4, 3), (2, 3, 4)])
def test_global_pools_of_any_rank(op_type: str, extents: tuple[int, ...]) -> None:
    check_node(op_type, [normal(2, 3, *extents)], opset=21)


def test_column_major_positions() -> None:
    attributes: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2], "storage_order": 1}
    check_node("MaxPool", [normal(2, 2, 6, 4)], outputs=["y0", "y1"], **attributes)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_max_pool_of_integers(dtype: str) -> None:
    data = np.random.default_rng(0).integers(0, 100, (1, 2, 6, 6)).astype(dtype)
    check_node("MaxPool", [data], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
