from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from tests.support.operators import Array, check_node, compiled, node_model, normal

FEW = settings(max_examples=15, deadline=None)


def _integers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)


@FEW
@given(mutually_broadcastable_shapes(num_shapes=2, min_side=1, max_dims=4, max_side=9))
def test_broadcasting(shapes: Any) -> None:
    a, b = (np.asarray(normal(*shape, seed=i)) for i, shape in enumerate(shapes.input_shapes))
    check_node("Sub", [a, b])
    check_node("Div", [a, np.asarray(b + np.float32(9))])


@pytest.mark.parametrize("op_type", ["Sum", "Max", "Min", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_inputs(op_type: str, count: int) -> None:
    inputs = [normal(3, 1, 5)[:, :, : 5 if i % 2 else 1] for i in range(count)]
    check_node(op_type, inputs)


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_nan_wins(op_type: str) -> None:
    a, b = normal(17), normal(17, seed=1)
    a[3] = b[4] = a[5] = b[5] = np.nan
    check_node(op_type, [a, b], reference="onnx")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
def test_integers_wrap(op_type: str, dtype: str) -> None:
    check_node(op_type, [_integers((33,), dtype), _integers((33,), dtype, seed=1)], reference="onnx")


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integer_division_truncates(dtype: str) -> None:
    divisor = _integers((40,), dtype, seed=1)
    divisor[divisor == 0] = 1
    check_node("Div", [_integers((40,), dtype), divisor])


def test_division_by_zero_does_not_trap() -> None:
    a, b = np.array([5, -5, -(2**31)], np.int32), np.array([0, 0, -1], np.int32)
    (quotient,) = compiled(node_model("Div", [a, b]), [a, b], [a])
    assert quotient.tolist() == [0, 0, -(2**31)]


@pytest.mark.parametrize("fmod", [0, 1])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint16"])
def test_mod_has_the_sign_of_the_right_operand(fmod: int, dtype: str) -> None:
    divisor = _integers((40,), dtype, seed=1)
    divisor[divisor == 0] = 3
    check_node("Mod", [_integers((40,), dtype), divisor], reference="onnx", fmod=fmod)


def test_mod_of_floats() -> None:
    check_node("Mod", [normal(40) * 9, normal(40, seed=1)], fmod=1)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 0.5, -1.0, 2.5])
@pytest.mark.parametrize("constant", [True, False])
def test_power(exponent: float, constant: bool) -> None:
    inputs = [np.abs(normal(4, 9)) + np.float32(0.1), np.array(exponent, np.float32)]
    check_node("Pow", inputs, constants={1} if constant else ())


def test_power_of_whole_numbers() -> None:
    base = np.arange(-8, 9, dtype=np.int64)
    check_node("Pow", [base, np.array([3], np.int64)], reference="onnx")
    check_node("Pow", [base, np.array([2], np.float32)], reference="onnx")


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_shift(direction: str, dtype: str) -> None:
    width = np.dtype(dtype).itemsize * 8
    amounts = (np.arange(30) % width).astype(dtype)
    check_node("BitShift", [_integers((30,), dtype), amounts], reference="onnx", direction=direction)


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_signed_shift_by_any_amount(direction: str, dtype: str) -> None:
    bits = np.dtype(dtype).itemsize * 8
    values = np.array([-5, 5, np.iinfo(dtype).min], dtype)[:, None]
    amounts = np.array([0, 1, bits - 1, bits, 100, -1], dtype)
    check_node("BitShift", [values, amounts], reference="onnx", opset=28, direction=direction)


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64"])
def test_bits(dtype: str) -> None:
    a, b = _integers((20,), dtype), _integers((20,), dtype, seed=1)
    for op_type in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        check_node(op_type, [a, b], reference="onnx")
    check_node("BitwiseNot", [a], reference="onnx")


@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (None, 0.1), (0.2, None), (None, None), (2.0, 1.0)])
@pytest.mark.parametrize("constant", [True, False])
def test_clip(bounds: tuple[float | None, float | None], constant: bool) -> None:
    arrays = [None if b is None else np.array(b, np.float32) for b in bounds]
    constants = {i + 1 for i, a in enumerate(arrays) if a is not None and constant}
    check_node("Clip", [normal(5, 7), *arrays], constants=constants)


def test_clip_keeps_nan() -> None:
    x = np.array([np.nan, -2, 2, 0], np.float32)
    (result,) = check_node("Clip", [x, np.array(-1, np.float32), np.array(1, np.float32)], reference="onnx")
    assert np.isnan(result[0])


@pytest.mark.parametrize("shape", [(), (1,), (5, 1, 1), (5, 4, 3)])
def test_prelu_slope(shape: tuple[int, ...]) -> None:
    check_node("PRelu", [normal(2, 5, 4, 3), normal(*shape, seed=1)], reference="onnx")


def test_where_takes_nothing_from_the_other_side() -> None:
    condition = np.array([[True], [False]])
    a, b = np.array([1, np.inf, np.nan], np.float32), np.array([np.nan, 2, 3], np.float32)
    check_node("Where", [condition, a, b])


@pytest.mark.parametrize("shape", [[2, 3, 4], [1], [3, 1], [5, 1, 3, 1]])
def test_expand(shape: list[int]) -> None:
    check_node("Expand", [normal(3, 1), np.array(shape, np.int64)], constants={1})
