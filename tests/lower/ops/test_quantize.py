from __future__ import annotations

import numpy as np
import pytest

from tests.support.operators import Array, check_node, normal


def _integers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_quantize_rounds_half_to_even_and_saturates(dtype: str) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, 1e9, -1e9, 3.2], np.float32)
    zero = np.array(3, dtype)
    check_node("QuantizeLinear", [x, np.array(1.0, np.float32), zero])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_scale_a_slice(axis: int) -> None:
    count = (4, 3, 5)[axis]
    scale = np.linspace(0.01, 0.1, count, dtype=np.float32)
    zero = _integers((count,), "int8")
    check_node("QuantizeLinear", [normal(4, 3, 5), scale, zero], axis=axis)
    check_node("DequantizeLinear", [_integers((4, 3, 5), "int8"), scale, zero], axis=axis)


def test_one_scale_a_block() -> None:
    scale = np.linspace(0.01, 0.1, 9, dtype=np.float32).reshape(3, 3)
    zero = _integers((3, 3), "uint8")
    check_node("QuantizeLinear", [normal(3, 6), scale, zero], "onnx", axis=1, block_size=2)
    quantized = _integers((3, 6), "uint8")
    check_node("DequantizeLinear", [quantized, scale, zero], "onnx", axis=1, block_size=2)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_dequantize_without_zero_point(dtype: str) -> None:
    check_node("DequantizeLinear", [_integers((9,), dtype), np.array(0.25, np.float32)])


@pytest.mark.parametrize("shapes", [((3, 5), (5, 4)), ((2, 3, 5), (5, 4)), ((2, 3, 5), (2, 5, 4))])
def test_matmul_integer(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = _integers(shapes[0], "uint8"), _integers(shapes[1], "int8", 1)
    check_node("MatMulInteger", [a, b, np.array(12, np.uint8), np.array(-3, np.int8)])


def test_qlinear_matmul() -> None:
    f32, u8 = np.float32, np.uint8
    left: list[Array] = [_integers((3, 5), "uint8"), np.array(0.02, f32), np.array(128, u8)]
    right: list[Array] = [_integers((5, 4), "uint8", 1), np.array(0.03, f32), np.array(120, u8)]
    result: list[Array] = [np.array(0.1, f32), np.array(100, u8)]
    check_node("QLinearMatMul", [*left, *right, *result])


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize("group", [1, 2])
def test_conv_integer(pads: list[int], group: int) -> None:
    x, w = _integers((1, 4, 5, 5), "uint8"), _integers((6, 4 // group, 3, 3), "uint8", 1)
    check_node("ConvInteger", [x, w, np.array(100, np.uint8), np.array(7, np.uint8)], pads=pads, group=group)


@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(per_channel: bool) -> None:
    scale = np.linspace(0.01, 0.02, 6, dtype=np.float32) if per_channel else np.array(0.015, np.float32)
    zero = np.zeros(6, np.int8) if per_channel else np.array(0, np.int8)
    inputs = [
        *(_integers((1, 3, 6, 6), "int8"), np.array(0.02, np.float32), np.array(-4, np.int8)),
        *(_integers((6, 3, 3, 3), "int8", 1), scale, zero),
        *(np.array(0.3, np.float32), np.array(5, np.int8)),
        np.random.default_rng(2).integers(-2000, 2000, 6, np.int32),
    ]
    check_node("QLinearConv", inputs, pads=[1, 1, 1, 1], strides=[2, 2])
