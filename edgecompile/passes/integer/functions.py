"""Functions of one element in double precision, as tables for integers are made of."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import FusedOp
from edgecompile.passes.edit import Array, constant_of

Function = Callable[[Array], Array]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def function_of(node: ir.Node) -> Function | None:
    """What `node` does with one element of its only input that is no constant; None when it is not known."""
    op = FusedOp.of(node)
    if op is None or op.activation:
        return None
    if op.base in _BINARY:
        return _with_scalar(node, _BINARY[op.base])
    return _UNARY[op.base](node) if op.base in _UNARY else None


def _with_scalar(node: ir.Node, function: Callable[[Array, Array], Array]) -> Function | None:
    first, second = (constant_of(value) for value in node.inputs)
    if first is not None and first.size == 1:
        left = float(first.item())
        return lambda x: function(np.asarray(left), x)
    if second is not None and second.size == 1:
        right = float(second.item())
        return lambda x: function(x, np.asarray(right))
    return None


def _plain(function: Function) -> Callable[[ir.Node], Function]:
    return lambda _: function


def _with(function: Callable[..., Array], **defaults: float) -> Callable[[ir.Node], Function]:
    """A function with float attributes of the node as further arguments, in the order of `defaults`."""

    def bound(node: ir.Node) -> Function:
        values = [node.attributes.get_float(name, default) for name, default in defaults.items()]
        return lambda x: function(x, *values)

    return bound


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def softplus(x: Array) -> Array:
    """log(1 + e^x)."""
    return np.asarray(np.logaddexp(0.0, x))


def _gelu(node: ir.Node) -> Function:
    if node.attributes.get_string("approximate", "none") == "tanh":
        return lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0.0, 1.0)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


def _selu(x: Array, alpha: float, gamma: float) -> Array:
    return gamma * _elu(x, alpha)


def _celu(x: Array, alpha: float) -> Array:
    return np.maximum(x, 0) + np.minimum(alpha * np.expm1(np.minimum(x, 0) / alpha), 0)


_UNARY: dict[str, Callable[[ir.Node], Function]] = {
    "Abs": _plain(np.abs),
    "Atan": _plain(np.arctan),
    "Ceil": _plain(np.ceil),
    "Celu": _with(_celu, alpha=1.0),
    "Cos": _plain(np.cos),
    "Elu": _with(_elu, alpha=1.0),
    "Erf": _plain(_erf),
    "Exp": _plain(np.exp),
    "Floor": _plain(np.floor),
    "Gelu": _gelu,
    "HardSigmoid": _with(_hard_sigmoid, alpha=0.2, beta=0.5),
    "HardSwish": _plain(lambda x: x * np.clip(x / 6 + 0.5, 0.0, 1.0)),
    "LeakyRelu": _with(lambda x, alpha: np.where(x < 0, alpha * x, x), alpha=0.01),
    "Log": _plain(np.log),
    "Mish": _plain(lambda x: x * np.tanh(softplus(x))),
    "Neg": _plain(np.negative),
    "Reciprocal": _plain(lambda x: 1.0 / x),
    "Round": _plain(np.rint),
    "Selu": _with(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Sigmoid": _plain(sigmoid),
    "Sign": _plain(np.sign),
    "Sin": _plain(np.sin),
    "Softplus": _plain(softplus),
    "Softsign": _plain(lambda x: x / (1 + np.abs(x))),
    "Sqrt": _plain(np.sqrt),
    "Swish": _with(lambda x, alpha: x * sigmoid(alpha * x), alpha=1.0),
    "Tanh": _plain(np.tanh),
    "ThresholdedRelu": _with(lambda x, alpha: np.where(x > alpha, x, 0.0), alpha=1.0),
}

_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "PRelu": lambda x, slope: np.where(x < 0, slope * x, x),
    "Pow": np.power,
    "Sub": np.subtract,
}

# Operators that become a table when all inputs but one are constant numbers.
FUNCTIONS = frozenset({*_UNARY, *_BINARY})
