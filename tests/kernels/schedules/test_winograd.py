"""Convolutions by Winograd's algorithm, whether it is the best choice or not, against onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from edgecompile.core.fused import DOMAIN
from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_winograd import WinogradPlan, pack_winograd_weights, winograd_conv
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import Product
from edgecompile.kernels.schedules.winograd_plan import plan_winograd
from edgecompile.kernels.winograd import TILES
from edgecompile.lower import planned
from tests.support.kernels import compute
from tests.support.operators import compiled, expect, node_model

Array = np.ndarray[Any, Any]
# Of the largest magnitude of a result.
TOLERANCE = 5e-6


@contextmanager
def winograd(tile: int, l2_bytes: int = 1 << 20) -> Iterator[None]:
    """Winograd with tiles of `tile`, whatever the model says; a small cache makes many blocks."""

    def plan(kernel: MicroKernel, machine: Machine, product: Product, _: object) -> WinogradPlan:
        assert product.window is not None
        return plan_winograd(kernel, replace(machine, l2_bytes=l2_bytes), product, product.window, tile)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planned, "choose_winograd", plan)
        yield


def operands(shape: tuple[int, ...], outputs: int) -> list[Array]:
    """Input, weights and bias."""
    rng = np.random.default_rng(0)
    shapes = [shape, (outputs, shape[-1], 3, 3), (outputs,)]
    return [rng.standard_normal(extents, dtype=np.float32) for extents in shapes]


def check(model: onnx.ModelProto, inputs: list[Array], emit: str = "lib") -> None:
    expected = expect(model, inputs, "onnxruntime")
    for got, want in zip(compiled(model, inputs, expected, emit), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * np.abs(want).max(initial=1))


def check_conv(shape: tuple[int, ...], outputs: int, pads: list[int], emit: str = "lib") -> None:
    inputs = operands(shape, outputs)
    attributes: dict[str, Any] = {"kernel_shape": [3, 3], "pads": pads}
    check(node_model("ConvNhwcRelu", inputs, constants=[1, 2], domain=DOMAIN, **attributes), inputs, emit)


@settings(max_examples=40, deadline=None)
@given(
    tile=st.sampled_from(TILES),
    batch=st.integers(1, 2),
    size=st.tuples(st.integers(3, 15), st.integers(3, 15)),
    channels=st.integers(1, 33),
    outputs=st.integers(1, 33),
    pads=st.tuples(*(st.integers(0, 1) for _ in range(4))),
    blocks=st.booleans(),
)
def test_all_shapes(
    tile: int,
    batch: int,
    size: tuple[int, int],
    channels: int,
    outputs: int,
    pads: tuple[int, ...],
    blocks: bool,
) -> None:
    """Sizes that are no multiple of a tile, channels that fill no vector, uneven pads, two images."""
    with winograd(tile, 1 << 12 if blocks else 1 << 20):
        check_conv((batch, *size, channels), outputs, list(pads))


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("pads", [[2, 3, 4, 5], [0, 2, 0, 0]])
def test_wide_pads(tile: int, pads: list[int]) -> None:
    with winograd(tile):
        check_conv((1, 9, 11, 8), 16, pads)


@pytest.mark.parametrize("tile", TILES)
def test_error_of_many_channels_is_small(tile: int) -> None:
    with winograd(tile):
        check_conv((1, 8, 8, 512), 16, [1] * 4)


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("by_lane", [False, True])
def test_every_kind_of_micro_kernel(
    tile: int, lanes: int, by_lane: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = MultiplyAdd(Machine(lanes, 32, 8), by_lane)
    monkeypatch.setattr("edgecompile.lower.ops.conv.float_kernel", lambda _: kernel)
    monkeypatch.setattr("edgecompile.kernels.schedules.default.find_kernel", lambda *_: kernel)
    with winograd(tile, 1 << 14):
        check_conv((1, 13, 10, 13), 21, [1] * 4)


@pytest.mark.parametrize("tile", TILES)
def test_portable_c(tile: int) -> None:
    with winograd(tile, 1 << 12):
        check_conv((1, 9, 7, 5), 17, [1] * 4, emit="c")


@pytest.mark.parametrize("tile", TILES)
def test_residual(tile: int) -> None:
    """relu(conv + residual), one kernel."""
    inputs = operands((1, 7, 9, 8), 12)
    inputs.append(np.random.default_rng(1).standard_normal((1, 7, 9, 12), dtype=np.float32))
    attributes: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1] * 4}
    model = node_model("ConvNhwc", inputs[:3], constants=[1, 2], domain=DOMAIN, **attributes)
    model.graph.node[0].output[0] = "conv"
    model.graph.node.append(helper.make_node("Add", ["conv", "x3"], ["sum"]))
    model.graph.node.append(helper.make_node("Relu", ["sum"], ["y0"]))
    model.graph.input.append(helper.make_tensor_value_info("x3", onnx.TensorProto.FLOAT, inputs[3].shape))
    with winograd(tile):
        check(onnx.shape_inference.infer_shapes(model), inputs)


@pytest.mark.parametrize("tile", TILES)
def test_definition_as_it_stands(tile: int) -> None:
    """Without the schedule that replaces it."""
    x, w, _ = operands((2, 7, 5, 3), 9)
    window = Window((3, 3), (1, 1), (1, 1), (1, 0), (1, 0))
    shape, machine = (2, 7, 3, 9), Machine(8, 16, 8)
    product = Product(shape, x.shape, 9, 27, 4, 1, window)
    plan = plan_winograd(MultiplyAdd(machine), machine, product, window, tile)
    packed = pack_winograd_weights(w, plan)
    (got,) = compute(
        lambda data, weights: winograd_conv(data, weights, plan, shape), x, packed, scheduled=False
    )
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    taps = [padded[:, i : i + 7, j : j + 3] @ w[:, :, i, j].T for i in range(3) for j in range(3)]
    np.testing.assert_allclose(got, sum(taps), rtol=0, atol=TOLERANCE * np.abs(sum(taps)).max())
