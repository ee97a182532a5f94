"""One step of an optimizer, for networks that learn on the device (domain ai.onnx.preview.training).

Inputs are the learning rate, the update count, then all tensors X, all their gradients, and for each state of
the optimizer all of its tensors; outputs are the new tensors and states in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import te, tirx

from edgecompile.kernels import math
from edgecompile.kernels.math import Expr, cast, const, dtype_of, select
from edgecompile.lower.pointwise import element, scalar
from edgecompile.lower.registry import Kind, NodeView, Tensor, op

_DOMAIN = "ai.onnx.preview.training"
# (x, gradient, *states) -> (new x, *new states)
Update = Callable[..., Sequence[Expr]]


@op("Momentum", kind=Kind.ELEMENTWISE, domain=_DOMAIN)
def momentum(n: NodeView) -> list[Tensor]:
    """v = alpha v + beta g; x -= R v, nesterov: x -= R (g + alpha v). beta is 1 in the first step."""
    alpha, beta, norm = _attributes(n, alpha=None, beta=None, norm_coefficient=None)
    rate, nesterov = _rate(n), n.attr("mode") == "nesterov"

    def update(x: Expr, g: Expr, v: Expr) -> Sequence[Expr]:
        c = _constants(x)
        g = g + c(norm) * x
        v = c(alpha) * v + select(_is_first(n), c(1.0), c(beta)) * g
        return x - cast(rate, dtype_of(x)) * (g + c(alpha) * v if nesterov else v), v

    return _step(n, update, states=1)


@op("Adagrad", kind=Kind.ELEMENTWISE, domain=_DOMAIN)
def adagrad(n: NodeView) -> list[Tensor]:
    """h += g^2; x -= R / (1 + T decay) * g / (sqrt(h) + epsilon) (Duchi et al., 2011)."""
    norm, decay, epsilon = _attributes(n, norm_coefficient=0.0, decay_factor=0.0, epsilon=0.0)
    rate = _rate(n)

    def update(x: Expr, g: Expr, h: Expr) -> Sequence[Expr]:
        c, dtype = _constants(x), dtype_of(x)
        g = g + c(norm) * x
        h = h + g * g
        step = cast(rate, dtype) / (c(1.0) + cast(scalar(n.input(1)), dtype) * c(decay))
        return x - step * g / (math.sqrt(h) + c(epsilon)), h

    return _step(n, update, states=1)


@op("Adam", kind=Kind.ELEMENTWISE, domain=_DOMAIN)
def adam(n: NodeView) -> list[Tensor]:
    """Averages v of g and h of g^2; x -= R sqrt(1 - beta^T) / (1 - alpha^T) v / (sqrt(h) + epsilon)."""
    alpha, beta, epsilon = _attributes(n, alpha=0.9, beta=0.999, epsilon=0.0)
    norm, post = _attributes(n, norm_coefficient=0.0, norm_coefficient_post=0.0)
    rate = _rate(n)

    def update(x: Expr, g: Expr, v: Expr, h: Expr) -> Sequence[Expr]:
        c, dtype = _constants(x), dtype_of(x)
        g = g + c(norm) * x
        v = c(alpha) * v + c(1.0 - alpha) * g
        h = c(beta) * h + c(1.0 - beta) * g * g
        count = cast(scalar(n.input(1)), dtype)
        correction = math.sqrt(c(1.0) - math.power(c(beta), count)) / (c(1.0) - math.power(c(alpha), count))
        step = cast(rate, dtype) * select(_is_first(n), c(1.0), correction)
        return c(1.0 - post) * (x - step * v / (math.sqrt(h) + c(epsilon))), v, h

    return _step(n, update, states=2)


def _attributes(n: NodeView, **defaults: float | None) -> list[float]:
    return [float(n.attr(name, default)) for name, default in defaults.items()]


def _rate(n: NodeView) -> Expr:
    return scalar(n.input(0))


def _is_first(n: NodeView) -> Expr:
    return tirx.EQ(scalar(n.input(1)), const(0, "int64"))


def _constants(like: Expr) -> Callable[[float], Expr]:
    dtype = dtype_of(like)
    return lambda value: const(value, dtype)


def _step(n: NodeView, update: Update, states: int) -> list[Tensor]:
    """Apply `update` to every optimized tensor; the outputs are grouped as the inputs are."""
    kinds = states + 2
    count = (len(n.inputs) - 2) // kinds
    results = []
    for place, info in enumerate(n.outputs):
        result, tensor = divmod(place, count)
        operands = [n.input(2 + kind * count + tensor) for kind in range(kinds)]
        results.append(_result(update, result, operands, info.shape))
    return results


def _result(update: Update, result: int, operands: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    return te.compute(
        shape, lambda *index: update(*(element(t, index) for t in operands))[result], name="step"
    )
