"""AVERAGE_POOL_2D, MAX_POOL_2D, and reductions along axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.frontend.tflite.convolution import TO_CHANNELS_FIRST, TO_CHANNELS_LAST, image, window
from edgecompile.frontend.tflite.registry import translates
from edgecompile.frontend.tflite.view import OperatorView

_REDUCTIONS = {
    "MEAN": "ReduceMean",
    "SUM": "ReduceSum",
    "REDUCE_PROD": "ReduceProd",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "REDUCE_ANY": "ReduceMax",
    "REDUCE_ALL": "ReduceMin",
}


@translates("AVERAGE_POOL_2D")
def average_pool(n: OperatorView) -> None:
    """Padding does not count."""
    kernel = [n.option("FilterHeight"), n.option("FilterWidth")]
    attributes = window(n, image(n, 0), kernel)
    result = n.emit("AveragePool", n.real(0, TO_CHANNELS_FIRST), kernel_shape=kernel, **attributes)
    n.store(n.activate(result), perm=TO_CHANNELS_LAST)


@translates("MAX_POOL_2D")
def max_pool(n: OperatorView) -> None:
    """On the integers, unless an activation function is fused to it."""
    kernel = [n.option("FilterHeight"), n.option("FilterWidth")]
    attributes = window(n, image(n, 0), kernel)
    if n.option("FusedActivationFunction") or n.input(0).quantization != n.output().quantization:
        result = n.emit("MaxPool", n.real(0, TO_CHANNELS_FIRST), kernel_shape=kernel, **attributes)
        n.store(n.activate(result), perm=TO_CHANNELS_LAST)
        return
    result = n.emit("MaxPool", n.stored(0, TO_CHANNELS_FIRST), kernel_shape=kernel, **attributes)
    n.keep(n.emit("Transpose", result, step="Transpose", perm=TO_CHANNELS_LAST))


@translates(*_REDUCTIONS)
def reduce(n: OperatorView) -> None:
    """The axes are constants; the largest and smallest of integers is found among the integers."""
    rank = len(n.shape(0))
    axes = sorted({n.axis(number, rank) for number in n.integers(1)})
    op_type, keep = _REDUCTIONS[n.kind], int(bool(n.option("KeepDims")))
    operands = n.number(axes, "int64", "axes")
    exact = op_type in ("ReduceMax", "ReduceMin") and n.input(0).quantization == n.output().quantization
    if exact:
        n.keep(n.emit(op_type, n.stored(0), operands, keepdims=keep))
    else:
        n.store(n.emit(op_type, n.real(0), operands, keepdims=keep))


@translates("ARG_MAX", "ARG_MIN")
def arg_max(n: OperatorView) -> None:
    """The first of equals, as int32 or int64."""
    rank = len(n.shape(0))
    (number,) = n.integers(1) or (0,)
    op_type = "ArgMax" if n.kind == "ARG_MAX" else "ArgMin"
    found = n.emit(op_type, n.stored(0), axis=n.axis(number, rank), keepdims=0)
    if n.output().dtype != "int64":
        found = n.emit("Cast", found, step="Cast", to=_onnx_type(n.output().dtype))
    n.keep(found)


@translates("CUMSUM")
def cumsum(n: OperatorView) -> None:
    """Along one constant axis."""
    axis = n.axis(n.integers(1)[0], len(n.shape(0)))
    flags: dict[str, Any] = {"exclusive": int(n.option("Exclusive")), "reverse": int(n.option("Reverse"))}
    n.store(n.emit("CumSum", n.real(0), n.number(axis, "int64", "axis"), **flags))


@translates("CAST")
def cast(n: OperatorView) -> None:
    """TFLite casts the stored integers of a quantized tensor, not the numbers they stand for."""
    n.keep(n.emit("Cast", n.stored(0), to=_onnx_type(n.output().dtype)))


def _onnx_type(dtype: str) -> int:
    return int(ir.DataType.from_numpy(np.dtype(dtype)))
