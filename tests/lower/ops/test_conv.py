from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecompile.core.fused import DOMAIN
from tests.support.operators import check_node, normal

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Case = dict[str, Any]


@st.composite
def geometries(draw: st.DrawFn, rank: int) -> Case:
    """Attributes of a convolution, and extents on which it has a result."""

    def numbers(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, strides, dilations = numbers(1, 4), numbers(1, 3), numbers(1, 2)
    attributes: Case = {"strides": strides, "dilations": dilations}
    auto_pad = draw(st.sampled_from(("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")))
    if auto_pad == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in kernel + kernel]
    else:
        attributes["auto_pad"] = auto_pad
        if auto_pad != "VALID":
            attributes["dilations"] = dilations = [1] * rank  # onnxruntime refuses others
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    extents = [draw(st.integers(r, r + 6)) for r in reach]
    return {"kernel": kernel, "extents": extents, "attributes": attributes}


@SLOW
@given(
    st.integers(1, 3).flatmap(geometries),
    st.sampled_from((1, 2, 4)),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
def test_conv_geometry(case: Case, groups: int, multiple: int, constant: bool, bias: bool) -> None:
    data = normal(2, 4, *case["extents"])
    weights = normal(groups * multiple, 4 // groups, *case["kernel"], seed=1)
    inputs = [data, weights, normal(groups * multiple, seed=2) if bias else None]
    constants = {i for i in (1, 2) if inputs[i] is not None} if constant else ()
    check_node("Conv", inputs, constants=constants, group=groups, **case["attributes"])


@SLOW
@given(geometries(2), st.sampled_from((1, 2, 8)), st.sampled_from((1, 2, 3)))
def test_channels_last_conv_geometry(case: Case, groups: int, multiple: int) -> None:
    data = normal(1, *case["extents"], 8)
    weights = normal(groups * multiple, 8 // groups, *case["kernel"], seed=1)
    inputs = [data, weights, normal(groups * multiple, seed=2)]
    check_node("ConvNhwc", inputs, constants=(1, 2), domain=DOMAIN, group=groups, **case["attributes"])


@st.composite
def transposed_geometries(draw: st.DrawFn, rank: int) -> Case:
    """Attributes of a transposed convolution."""

    def numbers(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, strides, dilations = numbers(1, 4), numbers(1, 3), numbers(1, 2)
    attributes: Case = {"strides": strides, "dilations": dilations}
    auto_pad = draw(st.sampled_from(("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")))
    if auto_pad == "NOTSET":
        reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
        attributes["pads"] = [draw(st.integers(0, min(r, 2) // 2)) for r in reach + reach]
        attributes["output_padding"] = [draw(st.integers(0, s - 1)) for s in strides]
    else:
        attributes["auto_pad"] = auto_pad
    return {"kernel": kernel, "extents": numbers(2, 6), "attributes": attributes}


@SLOW
@given(st.integers(1, 2).flatmap(transposed_geometries), st.sampled_from((1, 2)), st.booleans())
def test_transposed_conv_geometry(case: Case, groups: int, constant: bool) -> None:
    data = normal(1, 4, *case["extents"])
    weights = normal(4, 3, *case["kernel"], seed=1)
    inputs = [data, weights, normal(3 * groups, seed=2)]
    constants = (1, 2) if constant else ()
    check_node("ConvTranspose", inputs, constants=constants, group=groups, **case["attributes"])


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER"])
def test_transposed_conv_of_a_given_output_shape(auto_pad: str) -> None:
    inputs = [normal(1, 4, 5, 5), normal(4, 3, 4, 4, seed=1)]
    attributes: dict[str, Any] = {"strides": [3, 2], "output_shape": [12, 9], "auto_pad": auto_pad}
    check_node("ConvTranspose", inputs, constants=[1], **attributes)


def test_channels_last_transposed_conv() -> None:
    inputs = [normal(1, 5, 4, 6), normal(6, 2, 3, 2, seed=1), normal(4, seed=2)]
    attributes: dict[str, Any] = {"strides": [2, 2], "group": 2, "pads": [1, 0, 0, 1]}
    check_node("ConvTransposeNhwc", inputs, constants=(1, 2), domain=DOMAIN, **attributes)


@pytest.mark.parametrize("emit", ["lib", "c"])
def test_fused_activation(emit: str) -> None:
    inputs = [normal(1, 6, 6, 8), normal(16, 8, 3, 3, seed=1), normal(16, seed=2)]
    check_node("ConvNhwcSwish", inputs, constants=(1, 2), domain=DOMAIN, emit=emit, pads=[1, 1, 1, 1])


def test_half_precision() -> None:
    inputs = [normal(1, 8, 6, 6, dtype="float16"), normal(4, 8, 3, 3, seed=1, dtype="float16")]
    check_node("Conv", inputs, constants=[1], reference="onnx", rtol=2e-3)
