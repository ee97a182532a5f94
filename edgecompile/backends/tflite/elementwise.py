"""Sums, products, functions of one element, Softmax, and what stands at the borders of a network."""

from __future__ import annotations

from typing import Any

from edgecompile.backends.tflite.registry import NotExpressible, writes
from edgecompile.backends.tflite.view import NodeView
from edgecompile.core.integer import FUNCTION_KEY
from edgecompile.frontend.tflite.schema import Quantization
from edgecompile.passes.natural_scales import NATURAL

# Operators that TFLite computes in int8 with a table of the same values.
_FUNCTIONS = {
    "Abs": "ABS",
    "Elu": "ELU",
    "Exp": "EXP",
    "HardSwish": "HARD_SWISH",
    "LeakyRelu": "LEAKY_RELU",
    "Log": "LOG",
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
}


@writes("Add", "Sub", "Mul")
def binary(n: NodeView) -> None:
    """Of the same name."""
    n.quantization(0), n.quantization(1)
    n.finish(n.emit_clamped(n.node.op_type.upper(), [n.input(0), n.input(1)], n.shape))


@writes("Max", "Min")
def extremum(n: NodeView) -> None:
    """Of integers that mean the same."""
    kind = {"Max": "MAXIMUM", "Min": "MINIMUM"}[n.node.op_type]
    if len(n.node.inputs) != 2:
        raise NotExpressible("it has more than two inputs")
    n.finish(n.emit(kind, [n.input(0), n.input(1)], n.shape))


@writes("Requantize")
def requantize(n: NodeView) -> None:
    """QUANTIZE, or the rectifier whose clamp it has."""
    name = n.activation()
    kind = "QUANTIZE" if name in (None, "NONE") else name
    assert kind is not None
    index = n.emit(kind, [n.input(0)], n.shape, n.result)
    n.finish(index if name is not None else n.clamp(index))


@writes("Table")
def table(n: NodeView) -> None:
    """The operator whose values the table holds."""
    function = n.node.metadata_props.get(FUNCTION_KEY, "")
    kind = _FUNCTIONS.get(function)
    if kind is None:
        raise NotExpressible(f"TensorFlow Lite has no operator for {function or 'a table of any values'}")
    _check_natural(n, function)
    alpha = float(n.node.metadata_props.get(f"{FUNCTION_KEY}.alpha", 1.0 if function == "Elu" else 0.01))
    if function == "Elu" and alpha != 1.0:
        raise NotExpressible(f"its alpha is {alpha}, TensorFlow Lite's is 1")
    options: dict[str, Any] = {"Alpha": alpha} if function == "LeakyRelu" else {}
    n.finish(n.emit(kind, [n.input(0)], n.shape, n.result, **options))


@writes("Softmax")
def softmax(n: NodeView) -> None:
    """SOFTMAX along the last axis."""
    if n.has(2):
        raise NotExpressible("its result has another scale than 1/256")
    axis, rank = n.option("axis"), len(n.shape)
    order = [*(i for i in range(rank) if i != axis), axis]
    moved = axis != rank - 1
    data = n.transpose(n.input(0), order) if moved else n.input(0)
    scale, zero = NATURAL["Softmax"]
    index = n.emit("SOFTMAX", [data], n.tensor(data).shape, Quantization((scale,), (zero,)), Beta=1.0)
    n.finish(n.transpose(index, [order.index(i) for i in range(rank)]) if moved else index)


@writes("QuantizeLinear")
def quantize(n: NodeView) -> None:
    """QUANTIZE of real numbers."""
    n.finish(n.emit("QUANTIZE", [n.input(0)], n.shape, _parameters(n)))


@writes("DequantizeLinear")
def dequantize(n: NodeView) -> None:
    """DEQUANTIZE."""
    if n.quantization(0) != _parameters(n):
        raise NotExpressible("it takes its input for something else than what that holds")
    n.finish(n.emit("DEQUANTIZE", [n.input(0)], n.shape, dtype="float32"))


def _parameters(n: NodeView) -> Quantization:
    scale, zero = n.array(1), n.array(2) if n.has(2) else None
    if scale.size != 1:
        raise NotExpressible("it has more than one scale")
    return Quantization((float(scale.item()),), (0 if zero is None else int(zero.item()),))


def _check_natural(n: NodeView, function: str) -> None:
    natural, result = NATURAL.get(function), n.result
    if natural is not None and result is not None and (result.scale[0], result.zero_point[0]) != natural:
        raise NotExpressible(f"its result has another scale than 1/{1 / natural[0]:.0f}")
