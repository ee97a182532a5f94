"""Functions of each element by itself, of one tensor or of several that broadcast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as f

from edgecompile.torch.functions.call import Call, Function


def _of_one(compute: Callable[[Tensor], Tensor]) -> Function:
    return lambda call: compute(call[0])


def _of_two(compute: Callable[[Tensor, Tensor], Tensor]) -> Function:
    return lambda call: compute(call[0], call[1])


def _of_any(compute: Callable[[Tensor, Tensor], Tensor]) -> Function:
    return lambda call: reduce(compute, call.present())


def _div(call: Call) -> Tensor:
    """Integers are divided as in C."""
    mode = None if call[0].is_floating_point() else "trunc"
    return torch.div(call[0], call[1], rounding_mode=mode)


def _clip(call: Call) -> Tensor:
    low, high = call.optional(1), call.optional(2)
    if low is None and high is None:
        return call[0]
    bounds = [None if bound is None or bound.requires_grad else bound.item() for bound in (low, high)]
    return torch.clamp(call[0], *bounds)


def _prelu(call: Call) -> Tensor:
    x = call[0]
    return torch.where(x < 0, x * call[1], x)


def _gelu(call: Call) -> Tensor:
    return f.gelu(call[0], approximate=call.get_string("approximate", "none"))


def _hard_sigmoid(call: Call) -> Tensor:
    return torch.clamp(call[0] * call.get_float("alpha", 0.2) + call.get_float("beta", 0.5), 0, 1)


def _swish(call: Call) -> Tensor:
    return call[0] * torch.sigmoid(call[0] * call.get_float("alpha", 1.0))


def _thresholded_relu(call: Call) -> Tensor:
    return torch.where(call[0] > call.get_float("alpha", 1.0), call[0], 0)


def _selu(call: Call) -> Tensor:
    x = call[0]
    alpha, gamma = (
        call.get_float("alpha", 1.67326319217681884765625),
        call.get_float("gamma", 1.05070102214813232421875),
    )
    return gamma * f.elu(x, alpha)


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """The result has the type of the base."""
    return torch.pow(base, exponent).to(base.dtype)


_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": f.hardswish,
    "Identity": lambda x: x,
    "Log": torch.log,
    "Mish": f.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softplus": f.softplus,
    "Softsign": f.softsign,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
}
_BINARY: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Pow": _power,
    "Sub": torch.sub,
}

TABLE: Mapping[str, Function] = {
    **{name: _of_one(compute) for name, compute in _UNARY.items()},
    **{name: _of_two(compute) for name, compute in _BINARY.items()},
    "Celu": lambda call: f.celu(call[0], call.get_float("alpha", 1.0)),
    "Clip": _clip,
    "Div": _div,
    "Elu": lambda call: f.elu(call[0], call.get_float("alpha", 1.0)),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda call: f.leaky_relu(call[0], call.get_float("alpha", 0.01)),
    "Max": _of_any(torch.maximum),
    "Min": _of_any(torch.minimum),
    "PRelu": _prelu,
    "Selu": _selu,
    "Sum": _of_any(torch.add),
    "Swish": _swish,
    "ThresholdedRelu": _thresholded_relu,
    "Where": lambda call: torch.where(call[0], call[1], call[2]),
}
