"""Operations on each element, reductions, and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array
from edgecompile.backends.coreml.evaluator.registry import FUNCTIONS, computes

_DTYPES = {"fp16": "float16", "fp32": "float32"}

_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "real_div": np.divide,
    "floor_div": np.floor_divide,
    "mod": np.mod,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
_UNARY: dict[str, Callable[[Array], Array]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "exp": np.exp,
    "floor": np.floor,
    "identity": lambda x: x,
    "logical_not": np.logical_not,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "round": np.round,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sign": np.sign,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sin": np.sin,
    "sinh": np.sinh,
    "softplus": lambda x: np.logaddexp(x, np.float32(0)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
}


def _binary(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    return lambda x, y: function(x, y)


def _unary(function: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda x: function(x)


FUNCTIONS.update({name: _binary(function) for name, function in _BINARY.items()})
FUNCTIONS.update({name: _unary(function) for name, function in _UNARY.items()})


@computes("erf")
def erf(x: Array) -> Array:
    """Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: at most 1.5e-7 wrong."""
    size = np.abs(x.astype(np.float64))
    t = 1 / (1 + 0.3275911 * size)
    series = np.polyval([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0], t)
    return np.asarray(np.sign(x) * (1 - series * np.exp(-size * size)))


@computes("log")
def log(x: Array, epsilon: float = 0.0) -> Array:
    return np.log(x + np.float32(epsilon))


@computes("rsqrt")
def rsqrt(x: Array, epsilon: float = 1e-12) -> Array:
    return 1 / np.sqrt(x + np.float32(epsilon))


@computes("inverse")
def inverse(x: Array, epsilon: float = 1e-4) -> Array:
    return 1 / (x + np.float32(epsilon))


@computes("clip")
def clip(x: Array, alpha: Array, beta: Array) -> Array:
    return np.clip(x, alpha, beta)


@computes("leaky_relu")
def leaky_relu(x: Array, alpha: Array) -> Array:
    return np.where(x >= 0, x, alpha * x)


@computes("prelu")
def prelu(x: Array, alpha: Array) -> Array:
    slopes = alpha.reshape(-1, *[1] * (x.ndim - 2))
    return np.where(x >= 0, x, slopes * x)


@computes("elu")
def elu(x: Array, alpha: Array) -> Array:
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


@computes("sigmoid_hard")
def sigmoid_hard(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return np.asarray(np.clip(np.float32(alpha) * x + np.float32(beta), 0, 1))


@computes("gelu")
def gelu(x: Array, mode: str = "EXACT") -> Array:
    if mode == "EXACT":
        return np.asarray(x * (1 + erf(x / np.sqrt(np.float32(2)))) / 2)
    if mode != "TANH_APPROXIMATION":
        raise ValueError(f"mode {mode}")
    return np.asarray(
        x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3))) / 2
    )


@computes("select")
def select(cond: Array, a: Array, b: Array) -> Array:
    return np.where(cond, a, b)


@computes("cast")
def cast(x: Array, dtype: str) -> Array:
    return np.asarray(x.astype(_DTYPES.get(dtype, dtype)))


@computes("softmax")
def softmax(x: Array, axis: int = -1) -> Array:
    powers = np.exp(x - x.max(int(axis), keepdims=True))
    return np.asarray(powers / powers.sum(int(axis), keepdims=True))


@computes("cumsum")
def cumsum(x: Array, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Array:
    data = np.flip(x, int(axis)) if reverse else x
    sums = np.cumsum(data, int(axis), dtype=data.dtype)
    sums = sums - data if exclusive else sums
    return np.flip(sums, int(axis)) if reverse else sums


def _log_sum_exp(x: Array, axis: Any, keepdims: bool) -> Array:
    most = x.max(axis, keepdims=True)
    most = np.where(np.isfinite(most), most, 0)
    total = np.log(np.exp(x - most).sum(axis, keepdims=True)) + most
    return np.asarray(total if keepdims else total.reshape(x.sum(axis).shape))


_REDUCTIONS: dict[str, Callable[[Array, Any, bool], Array]] = {
    "reduce_sum": lambda x, axis, keep: x.sum(axis, keepdims=keep, dtype=x.dtype),
    "reduce_mean": lambda x, axis, keep: x.mean(axis, keepdims=keep),
    "reduce_max": lambda x, axis, keep: x.max(axis, keepdims=keep),
    "reduce_min": lambda x, axis, keep: x.min(axis, keepdims=keep),
    "reduce_prod": lambda x, axis, keep: x.prod(axis, keepdims=keep, dtype=x.dtype),
    "reduce_l1_norm": lambda x, axis, keep: np.abs(x).sum(axis, keepdims=keep),
    "reduce_l2_norm": lambda x, axis, keep: np.sqrt(np.square(x).sum(axis, keepdims=keep)),
    "reduce_sum_square": lambda x, axis, keep: np.square(x).sum(axis, keepdims=keep),
    "reduce_log_sum": lambda x, axis, keep: np.log(x.sum(axis, keepdims=keep)),
    "reduce_log_sum_exp": _log_sum_exp,
}


def _reduction(function: Callable[[Array, Any, bool], Array]) -> Callable[..., Array]:
    def compute(x: Array, axes: Sequence[int] | None = None, keep_dims: bool = False) -> Array:
        axis = None if axes is None else tuple(int(number) for number in axes)
        return function(x, axis, bool(keep_dims))

    return compute


FUNCTIONS.update({name: _reduction(function) for name, function in _REDUCTIONS.items()})


@computes("reduce_argmax")
def reduce_argmax(x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    return np.asarray(x.argmax(int(axis), keepdims=bool(keep_dims)))


@computes("reduce_argmin")
def reduce_argmin(x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    return np.asarray(x.argmin(int(axis), keepdims=bool(keep_dims)))
