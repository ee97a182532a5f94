"""Convolutions and dense layers through the implicit matrix product, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecompile.core.fused import DOMAIN
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.machine import Machine
from tests.support.operators import compiled, expect, node_model

Array = np.ndarray[Any, Any]
CHANNELS = (1, 3, 5, 16, 17, 33)


def check_conv(shape: tuple[int, ...], outputs: int, emit: str = "lib", **attributes: Any) -> None:
    """A ConvNhwcRelu of a random input [N, H, W, C] and random weights."""
    rng = np.random.default_rng(0)
    kernel, groups = attributes["kernel_shape"], attributes.get("group", 1)
    x = rng.standard_normal(shape, dtype=np.float32)
    w = rng.standard_normal((outputs, shape[-1] // groups, *kernel), dtype=np.float32)
    b = rng.standard_normal(outputs, dtype=np.float32)
    model = node_model("ConvNhwcRelu", [x, w, b], constants=[1, 2], domain=DOMAIN, **attributes)
    expected = expect(model, [x, w, b], "onnxruntime")
    (result,) = compiled(model, [x, w, b], expected, emit)
    np.testing.assert_allclose(result, expected[0], rtol=0, atol=1e-5 * np.abs(expected[0]).max(initial=1))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_convolutions_of_all_shapes(data: st.DataObject) -> None:
    """Odd sizes, channels that fill no vector, strides, dilations, groups, uneven pads, several images."""
    draw = data.draw
    batch, groups = draw(st.integers(1, 2)), draw(st.sampled_from((1, 1, 1, 2, 3)))
    per_group, outputs = draw(st.sampled_from(CHANNELS)), draw(st.sampled_from(CHANNELS))
    kernel, strides, dilations = (
        draw(st.tuples(st.integers(1, most), st.integers(1, most))) for most in (3, 2, 2)
    )
    size = draw(st.tuples(st.integers(1, 12), st.integers(1, 19)))
    pads = draw(st.tuples(*(st.integers(0, 2) for _ in range(4))))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    assume(all(s + pads[i] + pads[i + 2] >= r for i, (s, r) in enumerate(zip(size, reach, strict=True))))
    check_conv(
        (batch, *size, per_group * groups),
        outputs * groups,
        kernel_shape=list(kernel),
        strides=list(strides),
        dilations=list(dilations),
        pads=list(pads),
        group=groups,
    )


@pytest.mark.parametrize("emit", ["lib", "c"])
@pytest.mark.parametrize("pad", [0, 1])
def test_both_routes(pad: int, emit: str) -> None:
    check_conv((1, 9, 7, 5), 17, emit, kernel_shape=[3, 3], pads=[pad] * 4)


def test_an_axis_of_one_position_counts_for_nothing() -> None:
    check_conv((1, 40, 1, 3), 16, kernel_shape=[7, 1], pads=[3, 0, 3, 0])


@pytest.mark.parametrize("groups", [1, 6])
def test_a_window_that_sees_only_padding(groups: int) -> None:
    """TVM folds the weights away; what is left is no matrix product."""
    check_conv((1, 1, 1, 6), 6, kernel_shape=[1, 1], strides=[1, 2], pads=[0, 1, 0, 1], group=groups)


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("by_lane", [False, True])
def test_every_kind_of_micro_kernel(lanes: int, by_lane: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other instruction sets are plain vectors to LLVM, so they run here too."""
    machine = Machine(lanes, 32, 8)
    kernel = MultiplyAdd(machine, by_lane)
    monkeypatch.setattr("edgecompile.lower.ops.conv.float_kernel", lambda _: kernel)
    monkeypatch.setattr("edgecompile.kernels.schedules.default.find_kernel", lambda *_: kernel)
    check_conv((2, 7, 6, 6), 21, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[1, 2])
    check_conv((1, 7, 6, 5), 21, kernel_shape=[1, 1])


@settings(max_examples=30, deadline=None)
@given(m=st.integers(1, 40), k=st.integers(1, 70), n=st.integers(1, 70), trans=st.booleans())
def test_dense_layers(m: int, k: int, n: int, trans: bool) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((m, k), dtype=np.float32)
    b = rng.standard_normal((n, k) if trans else (k, n), dtype=np.float32)
    c = rng.standard_normal(n, dtype=np.float32)
    model = node_model("Gemm", [a, b, c], constants=[1, 2], transB=int(trans), alpha=0.5, beta=2.0)
    expected = expect(model, [a, b, c], "onnxruntime")
    (result,) = compiled(model, [a, b, c], expected)
    np.testing.assert_allclose(result, expected[0], rtol=0, atol=1e-5 * np.abs(expected[0]).max())


def test_matmul_of_many_rows_has_a_tail() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2, 197, 33), dtype=np.float32)
    b = rng.standard_normal((33, 100), dtype=np.float32)
    model = node_model("MatMul", [a, b], constants=[1])
    expected = expect(model, [a, b], "onnxruntime")
    (result,) = compiled(model, [a, b], expected)
    np.testing.assert_allclose(result, expected[0], rtol=0, atol=1e-5 * np.abs(expected[0]).max())
