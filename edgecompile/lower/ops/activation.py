"""Activation functions, element by element. Formulas and default attributes are those of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecompile.kernels import math
from edgecompile.kernels.math import Expr, at_least, at_most, cast, const, dtype_of, let, select
from edgecompile.lower.pointwise import pointwise
from edgecompile.lower.registry import Kind, NodeView, Tensor, op

# A formula of the value and of a function that makes constants of its type.
Formula = Callable[..., Expr]


def _activation(name: str, **defaults: Any) -> Callable[[Formula], Formula]:
    """Register formula(x, c, *attributes) as operator `name`; attributes in the order of `defaults`."""

    def register(formula: Formula) -> Formula:
        @op(name, kind=Kind.ELEMENTWISE)
        def build(n: NodeView) -> Tensor:
            values = [_attribute(n, key, default) for key, default in defaults.items()]
            return pointwise(n, lambda x: _applied(x, lambda v: formula(v, _constants(v), *values)))

        return formula

    return register


def _attribute(n: NodeView, name: str, default: Any) -> Any:
    """Attributes of ONNX are float32, and so are their defaults."""
    return n.attr(name, float(np.float32(default)) if isinstance(default, float) else default)


def _applied(x: Expr, formula: Callable[[Expr], Expr]) -> Expr:
    """formula(x); half precision is computed in single."""
    dtype = dtype_of(x)
    return cast(let(cast(x, "float32") if dtype == "float16" else x, formula), dtype)


def _constants(like: Expr) -> Callable[[float], Expr]:
    dtype = dtype_of(like)
    return lambda value: const(value, dtype)


def _expm1(x: Expr, c: Callable[[float], Expr]) -> Expr:
    """e^x - 1 for x <= 0, without the cancellation near 0: tanh(x/2) * (e^x + 1)."""
    return math.tanh(x * c(0.5)) * (math.exp(x) + c(1.0))


@_activation("Relu")
def relu(x: Expr, c: Formula) -> Expr:
    return at_least(x, c(0))


@_activation("LeakyRelu", alpha=0.01)
def leaky_relu(x: Expr, c: Formula, alpha: float) -> Expr:
    return select(x < c(0.0), x * c(alpha), x)


@_activation("ThresholdedRelu", alpha=1.0)
def thresholded_relu(x: Expr, c: Formula, alpha: float) -> Expr:
    return select(x > c(alpha), x, c(0.0))


@_activation("Elu", alpha=1.0)
def elu(x: Expr, c: Formula, alpha: float) -> Expr:
    return select(x < c(0.0), c(alpha) * _expm1(at_most(x, c(0.0)), c), x)


@_activation("Selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875)
def selu(x: Expr, c: Formula, alpha: float, gamma: float) -> Expr:
    return c(gamma) * select(x < c(0.0), c(alpha) * _expm1(at_most(x, c(0.0)), c), x)


@_activation("HardSigmoid", alpha=0.2, beta=0.5)
def hard_sigmoid(x: Expr, c: Formula, alpha: float, beta: float) -> Expr:
    return _unit_interval(x * c(alpha) + c(beta), c)


@_activation("HardSwish")
def hard_swish(x: Expr, c: Formula) -> Expr:
    return x * _unit_interval(x * c(1.0 / 6.0) + c(0.5), c)


def _unit_interval(x: Expr, c: Formula) -> Expr:
    return at_most(at_least(x, c(0.0)), c(1.0))


@_activation("Swish", alpha=1.0)
def swish(x: Expr, c: Formula, alpha: float) -> Expr:
    return x * math.sigmoid(x * c(alpha))


@_activation("Mish")
def mish(x: Expr, c: Formula) -> Expr:
    """x * tanh(log(1 + e^x)) = x * (e^2x + 2 e^x) / (e^2x + 2 e^x + 2); it is x where e^2x would overflow."""
    power = math.exp(at_most(x, c(20.0)))
    ratio = let(power, lambda e: let(e * (e + c(2.0)), lambda s: s / (s + c(2.0))))
    return x * select(x > c(20.0), c(1.0), ratio)


@_activation("Softplus")
def softplus(x: Expr, c: Formula) -> Expr:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which cannot overflow."""
    return at_least(x, c(0.0)) + math.log1p_unit(math.exp(-math.absolute(x)))


@_activation("Softsign")
def softsign(x: Expr, c: Formula) -> Expr:
    return x / (c(1.0) + math.absolute(x))


@_activation("Shrink", lambd=0.5, bias=0.0)
def shrink(x: Expr, c: Formula, lambd: float, bias: float) -> Expr:
    shrunk = select(x > c(lambd), x - c(bias), c(0))
    return select(x < c(-lambd), x + c(bias), shrunk)


@_activation("Gelu", approximate="none")
def gelu(x: Expr, c: Formula, approximate: str) -> Expr:
    """x * Phi(x); "tanh" is the approximation of Hendrycks and Gimpel (2016)."""
    if approximate == "tanh":
        inner = c(0.7978845608028654) * (x + c(0.044715) * x * x * x)
        return c(0.5) * x * (c(1.0) + math.tanh(inner))
    return c(0.5) * x * (c(1.0) + math.erf(x * c(0.7071067811865476)))
