"""The integer operators on NumPy arrays, one function each: clear and exact, not fast.

`OPERATORS[name](inputs, attributes, dtype)` computes a node of domain edgecompile.integer; `inputs` has None
where an optional input is left out, `dtype` is the element type of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgecompile.core.integer import SOFTMAX_BITS, SOFTMAX_FINE_BITS, TABLE_BITS, add_shift
from edgecompile.passes.quantize.arithmetic import Array, divide_half_away, rescale, shift_half_up
from edgecompile.passes.quantize.resize import weighted_sum
from edgecompile.passes.quantize.softmax import softmax
from edgecompile.passes.quantize.windows import window_sums, windows_of

Inputs = Sequence[Array | None]
Attributes = Mapping[str, Any]
Compute = Callable[[Inputs, Attributes, Any], Array]


def _result(total: Array, inputs: Inputs, at: int, attributes: Attributes, dtype: Any, axis: int) -> Array:
    """Requantize sums by inputs `at` and at + 1; channels are on `axis`."""
    if attributes.get("sum_shift", 0):
        total = shift_half_up(total, np.asarray(attributes["sum_shift"]))
    factors = (inputs[i] if i < len(inputs) else None for i in (at, at + 1))
    multiplier, shift = (_along(factor, total.ndim, axis) for factor in factors)
    assert multiplier is not None
    scaled = rescale(total, multiplier, shift, attributes["rounding"])
    return _clamped(scaled + attributes["y_zero"], attributes, dtype)


def _clamped(values: Array, attributes: Attributes, dtype: Any) -> Array:
    return np.asarray(np.clip(values, attributes["lo"], attributes["hi"]).astype(dtype))


def _along(vector: Array | None, rank: int, axis: int) -> Array | None:
    """A vector so that it broadcasts along `axis` of an array of `rank` dimensions."""
    if vector is None:
        return None
    shape = [1] * rank
    if rank:
        shape[axis] = -1
    return vector.reshape(shape)


def _centered(data: Array | None, zero: int) -> Array:
    assert data is not None
    return data.astype(np.int64) - zero


def _conv(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    data, weights, bias = inputs[:3]
    assert data is not None
    assert weights is not None
    assert bias is not None
    groups, zero = attributes.get("group", 1), attributes["x_zero"]
    windows = windows_of(data, attributes, zero)
    # [N, G, C/G, *out, *K] x [G, O/G, C/G, *K]
    rank = data.ndim - 2
    n, c = windows.shape[:2]
    out = windows.shape[2 : 2 + rank]
    columns = windows.reshape(n, groups, c // groups, math.prod(out), -1)
    filters = weights.reshape(groups, weights.shape[0] // groups, c // groups, -1)
    # Sums of at most 2^53 are exact in double precision, which has the faster product.
    total = np.einsum(
        "ngcpk,gock->ngop", columns.astype(np.float64), filters.astype(np.float64), optimize=True
    )
    sums = total.reshape(n, weights.shape[0], *out).astype(np.int64)
    folded = _along(bias, data.ndim, 1)
    return _result(sums + folded, inputs, 3, attributes, dtype, axis=1)


def _gemm(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    x, w, bias = inputs[:3]
    assert x is not None
    assert w is not None
    assert bias is not None
    total = (x.astype(np.float64) @ w.astype(np.float64).T).astype(np.int64) + bias
    return _result(total, inputs, 3, attributes, dtype, axis=1)


def _matmul(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    a, b = _centered(inputs[0], attributes["a_zero"]), _centered(inputs[1], attributes["b_zero"])
    total = np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.int64)
    return _result(total, inputs, 2, attributes, dtype, axis=-1)


def _add(inputs: Inputs, attributes: Attributes, dtype: Any, sign: int = 1) -> Array:
    multiplier, shift = inputs[2], inputs[3] if len(inputs) > 3 else None
    assert multiplier is not None
    assert inputs[0] is not None
    assert inputs[1] is not None
    mode, left = attributes["rounding"], add_shift(inputs[0].dtype.name, inputs[1].dtype.name)

    def scaled(total: Array, place: int) -> Array:
        return rescale(total, multiplier[place], None if shift is None else shift[place], mode)

    a = scaled(_centered(inputs[0], attributes["a_zero"]) << left, 0)
    b = scaled(_centered(inputs[1], attributes["b_zero"]) << left, 1)
    return _clamped(scaled(a + sign * b, 2) + attributes["y_zero"], attributes, dtype)


def _sub(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    return _add(inputs, attributes, dtype, sign=-1)


def _mul(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    a, b = _centered(inputs[0], attributes["a_zero"]), _centered(inputs[1], attributes["b_zero"])
    return _result(np.asarray(a * b), inputs, 2, attributes, dtype, axis=-1)


def _mean(total: Array, count: Array | int, inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    """Requantize the sums when there is a multiplier, then divide, halves away from zero."""
    multiplier = inputs[1] if len(inputs) > 1 else None
    if multiplier is not None:
        total = rescale(total, multiplier, inputs[2] if len(inputs) > 2 else None, attributes["rounding"])
    return _clamped(divide_half_away(total, np.asarray(count)) + attributes["y_zero"], attributes, dtype)


def _average_pool(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    data = _centered(inputs[0], attributes["x_zero"])
    total = window_sums(data, attributes, pads=0)
    counted = np.ones(data.shape, np.int64)
    count = window_sums(counted, attributes, pads=int(attributes.get("count_include_pad", 0)))
    return _mean(total, count, inputs, attributes, dtype)


def _reduce_mean(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    data = _centered(inputs[0], attributes["x_zero"])
    axes = tuple(attributes["axes"])
    total = data.sum(axes, keepdims=bool(attributes["keepdims"]))
    return _mean(total, math.prod(data.shape[axis] for axis in axes), inputs, attributes, dtype)


def _global_average_pool(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    assert inputs[0] is not None
    axes = {"axes": range(2, inputs[0].ndim), "keepdims": 1}
    return _reduce_mean(inputs, {**attributes, **axes}, dtype)


def _table(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    data, table = inputs
    assert data is not None
    assert table is not None
    place = data.astype(np.int64) - np.iinfo(data.dtype).min
    if data.dtype.itemsize == 1:
        return np.asarray(table[place].astype(dtype))
    first, within = place >> TABLE_BITS, place & ((1 << TABLE_BITS) - 1)
    low, high = (table[first + i].astype(np.int64) for i in (0, 1))
    return np.asarray(low + shift_half_up((high - low) * within, np.asarray(TABLE_BITS))).astype(dtype)


def _softmax(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    data, exps = inputs[:2]
    assert data is not None
    assert exps is not None
    if len(inputs) == 2:
        shares = softmax(data, exps, attributes["axis"], SOFTMAX_BITS)
        return _clamped(shares + attributes["y_zero"], attributes, dtype)
    shares = softmax(data, exps, attributes["axis"], SOFTMAX_FINE_BITS)
    return _result(shares, inputs, 2, attributes, dtype, axis=-1)


def _requantize(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    return _result(_centered(inputs[0], attributes["x_zero"]), inputs, 1, attributes, dtype, axis=-1)


def _resize_linear(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
    places, axes = inputs[1], attributes["axes"]
    assert places is not None
    data = _centered(inputs[0], attributes["x_zero"])
    total = weighted_sum(data, places, axes, attributes["sizes"], attributes["bits"])
    if len(inputs) > 2:
        return _result(total, inputs, 2, attributes, dtype, axis=-1)
    whole = np.asarray(1 << (attributes["bits"] * len(axes)))
    return _clamped(divide_half_away(total, whole) + attributes["y_zero"], attributes, dtype)


def _channels_last(compute: Compute) -> Compute:
    """The operator on channels-last data, by its definition on channels-first data."""

    def moved(inputs: Inputs, attributes: Attributes, dtype: Any) -> Array:
        assert inputs[0] is not None
        result = compute([np.moveaxis(inputs[0], -1, 1), *inputs[1:]], attributes, dtype)
        return np.ascontiguousarray(np.moveaxis(result, 1, -1))

    return moved


OPERATORS: dict[str, Compute] = {
    "Conv": _conv,
    "ConvNhwc": _channels_last(_conv),
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "AveragePool": _average_pool,
    "AveragePoolNhwc": _channels_last(_average_pool),
    "GlobalAveragePool": _global_average_pool,
    "GlobalAveragePoolNhwc": _channels_last(_global_average_pool),
    "ReduceMean": _reduce_mean,
    "Table": _table,
    "Softmax": _softmax,
    "Requantize": _requantize,
    "ResizeLinear": _resize_linear,
}
