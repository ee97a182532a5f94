"""Operators on each element, and reductions."""

from __future__ import annotations

from functools import reduce
from typing import Any

from edgecompile.backends.coreml.registry import WRITERS, Writer, writes
from edgecompile.backends.coreml.view import MIL_TYPES, NodeView

# Operators of ONNX that MIL has under another name.
UNARY = {
    "Abs": "abs", "Acos": "acos", "Asin": "asin", "Atan": "atan", "Atanh": "atanh", "Ceil": "ceil",
    "Cos": "cos", "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor", "Identity": "identity",
    "Not": "logical_not", "Relu": "relu", "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign",
    "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus", "Softsign": "softsign", "Sqrt": "sqrt",
    "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip
BINARY = {
    "Add": "add", "And": "logical_and", "Div": "real_div", "Equal": "equal", "Greater": "greater",
    "GreaterOrEqual": "greater_equal", "Less": "less", "LessOrEqual": "less_equal", "Max": "maximum",
    "Mean": "add", "Min": "minimum", "Mod": "mod", "Mul": "mul", "Or": "logical_or",
    "Sub": "sub", "Sum": "add", "Xor": "logical_xor",
}  # fmt: skip
REDUCTIONS = {
    "ReduceL1": "reduce_l1_norm", "ReduceL2": "reduce_l2_norm", "ReduceLogSum": "reduce_log_sum",
    "ReduceLogSumExp": "reduce_log_sum_exp", "ReduceMax": "reduce_max", "ReduceMean": "reduce_mean",
    "ReduceMin": "reduce_min", "ReduceProd": "reduce_prod", "ReduceSum": "reduce_sum",
    "ReduceSumSquare": "reduce_sum_square",
}  # fmt: skip


def _unary(kind: str) -> Writer:
    return lambda view: view.finish(view.emit(kind, x=view.variable(0)))


def _binary(kind: str) -> Writer:
    def write(view: NodeView) -> None:
        first, *others = view.inputs
        result = reduce(lambda x, y: view.emit(kind, x=x, y=y), others, first)
        if view.node.op_type == "Mean":
            result = view.emit("mul", x=result, y=view.number(1 / (1 + len(others))))
        view.finish(result if others else view.emit("identity", x=first))

    return write


def _reduction(kind: str) -> Writer:
    def write(view: NodeView) -> None:
        axes = view.axes(() if view.option("noop_with_empty_axes", 0) else range(view.rank))
        if not axes:
            view.finish(view.emit("identity", x=view.variable(0)))
            return
        keep = bool(view.option("keepdims", 1))
        result = view.emit(kind, x=view.variable(0), axes=axes, keep_dims=keep)
        view.finish(_scalar(view, result))

    return write


def _scalar(view: NodeView, result: Any) -> Any:
    """A reduction of everything as a tensor of rank 0, which MIL gives as such or as one element."""
    return view.emit("squeeze", x=result, axes=[0]) if view.result == () and result.rank == 1 else result


WRITERS.update({name: _unary(kind) for name, kind in UNARY.items()})
WRITERS.update({name: _binary(kind) for name, kind in BINARY.items()})
WRITERS.update({name: _reduction(kind) for name, kind in REDUCTIONS.items()})


@writes("Neg")
def neg(view: NodeView) -> None:
    integer = view.dtype() == "int32"
    view.finish(view.emit("mul", x=view.variable(0), y=-1 if integer else view.number(-1)))


@writes("Pow")
def power(view: NodeView) -> None:
    """The exponent may be an integer, and is then made what the base is."""
    x, y = view.inputs
    y = y if y.dtype == x.dtype else view.emit("cast", x=y, dtype=MIL_TYPES[view.dtype()])
    view.finish(view.emit("pow", x=x, y=y))


@writes("Reciprocal")
def reciprocal(view: NodeView) -> None:
    view.finish(view.emit("real_div", x=view.number(1), y=view.variable(0)))


@writes("Log")
def log(view: NodeView) -> None:
    """MIL adds an epsilon unless it is told not to."""
    view.finish(view.emit("log", x=view.variable(0), epsilon=view.number(0)))


@writes("Clip")
def clip(view: NodeView) -> None:
    low, high = (view.input(index) if view.has(index) else None for index in (1, 2))
    x = view.variable(0)
    if low is not None and high is not None and view.dtype() == "float16":
        view.finish(view.emit("clip", x=x, alpha=low.reshape(()), beta=high.reshape(())))
        return
    x = x if low is None else view.emit("maximum", x=x, y=low)
    x = x if high is None else view.emit("minimum", x=x, y=high)
    view.finish(view.emit("identity", x=x) if low is None and high is None else x)


@writes("LeakyRelu")
def leaky_relu(view: NodeView) -> None:
    view.finish(view.emit("leaky_relu", x=view.variable(0), alpha=view.number(view.option("alpha", 0.01))))


@writes("Elu")
def elu(view: NodeView) -> None:
    view.finish(view.emit("elu", x=view.variable(0), alpha=view.number(view.option("alpha", 1.0))))


@writes("PRelu")
def prelu(view: NodeView) -> None:
    """One slope for each channel as such, other slopes as max(x, 0) + slope * min(x, 0)."""
    x, slopes = view.variable(0), view.array(1)
    channels = view.shape(0)[1] if view.rank >= 3 else 0
    if slopes.size == channels and slopes.shape[-view.rank + 1 :] == (channels, *[1] * (view.rank - 2)):
        view.finish(view.emit("prelu", x=x, alpha=slopes.ravel().astype("float16")))
        return
    negative = view.emit("mul", x=view.emit("minimum", x=x, y=view.number(0)), y=view.variable(1))
    view.finish(view.emit("add", x=view.emit("relu", x=x), y=negative))


@writes("HardSigmoid")
def hard_sigmoid(view: NodeView) -> None:
    alpha, beta = view.option("alpha", 0.2), view.option("beta", 0.5)
    view.finish(_hard_sigmoid(view, alpha, beta))


@writes("HardSwish")
def hard_swish(view: NodeView) -> None:
    view.finish(view.emit("mul", x=view.variable(0), y=_hard_sigmoid(view, 1 / 6, 0.5)))


def _hard_sigmoid(view: NodeView, alpha: float, beta: float) -> Any:
    return view.emit("sigmoid_hard", x=view.variable(0), alpha=view.number(alpha), beta=view.number(beta))


@writes("Swish")
def swish(view: NodeView) -> None:
    x, alpha = view.variable(0), view.option("alpha", 1.0)
    if alpha == 1.0:
        view.finish(view.emit("silu", x=x))
        return
    scaled = view.emit("mul", x=x, y=view.number(alpha))
    view.finish(view.emit("mul", x=x, y=view.emit("sigmoid", x=scaled)))


@writes("Mish")
def mish(view: NodeView) -> None:
    x = view.variable(0)
    view.finish(view.emit("mul", x=x, y=view.emit("tanh", x=view.emit("softplus", x=x))))


@writes("Gelu")
def gelu(view: NodeView) -> None:
    mode = "TANH_APPROXIMATION" if view.option("approximate", "none") == "tanh" else "EXACT"
    view.finish(view.emit("gelu", x=view.variable(0), mode=mode))


@writes("Where")
def where(view: NodeView) -> None:
    condition, a, b = view.inputs
    view.finish(view.emit("select", cond=condition, a=a, b=b))


@writes("Cast")
def cast(view: NodeView) -> None:
    x, wanted = view.variable(0), view.dtype()
    kind = MIL_TYPES.get(wanted, wanted)
    view.finish(view.emit("cast", x=x, dtype=kind) if x.dtype != kind else view.emit("identity", x=x))


@writes("IsNaN")
def is_nan(view: NodeView) -> None:
    x = view.variable(0)
    view.finish(view.emit("not_equal", x=x, y=x))


@writes("Softmax")
def softmax(view: NodeView) -> None:
    view.finish(view.emit("softmax", x=view.variable(0), axis=view.option("axis", -1)))


@writes("LogSoftmax")
def log_softmax(view: NodeView) -> None:
    """x - log(sum(exp(x))): the logarithm of a rounded Softmax would be that of 0."""
    x, axis = view.variable(0), view.option("axis", -1)
    total = view.emit("reduce_log_sum_exp", x=x, axes=[axis], keep_dims=True)
    view.finish(view.emit("sub", x=x, y=total))


@writes("CumSum")
def cumsum(view: NodeView) -> None:
    (axis,) = view.integers(1)
    exclusive, reverse = (bool(view.option(name, 0)) for name in ("exclusive", "reverse"))
    axis %= view.rank
    view.finish(view.emit("cumsum", x=view.variable(0), axis=axis, exclusive=exclusive, reverse=reverse))


@writes("ArgMax", "ArgMin")
def arg(view: NodeView) -> None:
    kind = "reduce_" + view.node.op_type.lower()
    axis, keep = view.option("axis", 0), bool(view.option("keepdims", 1))
    view.finish(_scalar(view, view.emit(kind, x=view.variable(0), axis=axis, keep_dims=keep)))


@writes("LpNormalization")
def lp_normalization(view: NodeView) -> None:
    x, axis = view.variable(0), view.option("axis", -1)
    kind = "reduce_l1_norm" if view.option("p", 2) == 1 else "reduce_l2_norm"
    total = view.emit(kind, x=x, axes=[axis], keep_dims=True)
    view.finish(view.emit("real_div", x=x, y=total))


@writes("GlobalAveragePool", "GlobalMaxPool")
def global_pool(view: NodeView) -> None:
    kind = "reduce_mean" if view.node.op_type == "GlobalAveragePool" else "reduce_max"
    axes = list(range(2, view.rank))
    view.finish(view.emit(kind, x=view.variable(0), axes=axes, keep_dims=True))


@writes("TopK")
def top_k(view: NodeView) -> None:
    (k,), axis = view.integers(1), view.option("axis", -1)
    ascending = not view.option("largest", 1)
    values, indices = view.emit("topk", x=view.variable(0), k=k, axis=axis, ascending=ascending)
    view.finish(values, indices)
