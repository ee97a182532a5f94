"""Operators that treat every element alike: arithmetic, activation functions, comparisons, conversions."""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.frontend.tflite.registry import translates
from edgecompile.frontend.tflite.view import OperatorView

# One input, one ONNX operator of the same meaning.
_UNARY = {
    "ABS": "Abs",
    "CEIL": "Ceil",
    "COS": "Cos",
    "ELU": "Elu",
    "EXP": "Exp",
    "FLOOR": "Floor",
    "HARD_SWISH": "HardSwish",
    "LOG": "Log",
    "LOGICAL_NOT": "Not",
    "LOGISTIC": "Sigmoid",
    "NEG": "Neg",
    "RELU": "Relu",
    "ROUND": "Round",
    "SIGN": "Sign",
    "SIN": "Sin",
    "SQRT": "Sqrt",
    "TANH": "Tanh",
}
# Two inputs with broadcasting.
_BINARY = {
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "POW": "Pow",
    "EQUAL": "Equal",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterOrEqual",
    "LESS": "Less",
    "LESS_EQUAL": "LessOrEqual",
    "LOGICAL_AND": "And",
    "LOGICAL_OR": "Or",
    "PRELU": "PRelu",
}
_CLIPS = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}


@translates(*_UNARY)
def unary(n: OperatorView) -> None:
    """One operator on real numbers."""
    n.store(n.emit(_UNARY[n.kind], n.real(0)))


@translates(*_BINARY)
def binary(n: OperatorView) -> None:
    """One operator on two tensors of real numbers, then the fused activation function if there is one."""
    result = n.emit(_BINARY[n.kind], n.real(0), n.real(1))
    n.store(n.activate(result, n.input(0).dtype if n.input(0).quantization is None else "float32"))


@translates(*_CLIPS)
def clip(n: OperatorView) -> None:
    """A rectifier with bounds on both sides."""
    low, high = _CLIPS[n.kind]
    n.store(n.emit("Clip", n.real(0), n.number(low, "float32", "low"), n.number(high, "float32", "high")))


@translates("MAXIMUM", "MINIMUM")
def extremum(n: OperatorView) -> None:
    """Among the integers where all have the same quantization."""
    op_type = "Max" if n.kind == "MAXIMUM" else "Min"
    if n.input(0).quantization == n.input(1).quantization == n.output().quantization:
        n.keep(n.emit(op_type, n.stored(0), n.stored(1)))
    else:
        n.store(n.emit(op_type, n.real(0), n.real(1)))


@translates("LEAKY_RELU")
def leaky_relu(n: OperatorView) -> None:
    """Negative numbers times alpha."""
    n.store(n.emit("LeakyRelu", n.real(0), alpha=float(n.option("Alpha", 0.0))))


@translates("GELU")
def gelu(n: OperatorView) -> None:
    """With the error function, or the usual approximation of it by tanh."""
    n.store(n.emit("Gelu", n.real(0), approximate="tanh" if n.option("Approximate") else "none"))


@translates("SOFTMAX")
def softmax(n: OperatorView) -> None:
    """Along the last axis, of beta times the input."""
    value, beta = n.real(0), float(n.option("Beta", 0.0))
    if beta != 1.0:
        value = n.emit("Mul", value, n.number(beta, "float32", "beta"), step="Mul")
    n.store(n.emit("Softmax", value, axis=-1))


@translates("LOG_SOFTMAX")
def log_softmax(n: OperatorView) -> None:
    """Along the last axis."""
    n.store(n.emit("LogSoftmax", n.real(0), axis=-1))


@translates("L2_NORMALIZATION")
def l2_normalization(n: OperatorView) -> None:
    """Along the last axis; a length below 1e-6 counts as 1e-6."""
    value = n.real(0)
    length = n.emit("ReduceL2", value, n.number([-1], "int64", "axes"), step="ReduceL2", keepdims=1)
    length = n.emit("Max", length, n.number(1e-6, "float32", "epsilon"), step="Max")
    n.store(n.activate(n.emit("Div", value, length)))


@translates("RSQRT")
def rsqrt(n: OperatorView) -> None:
    """1 / sqrt(x)."""
    n.store(n.emit("Reciprocal", n.emit("Sqrt", n.real(0), step="Sqrt")))


@translates("SQUARE")
def square(n: OperatorView) -> None:
    """x · x."""
    value = n.real(0)
    n.store(n.emit("Mul", value, value))


@translates("SQUARED_DIFFERENCE")
def squared_difference(n: OperatorView) -> None:
    """(a - b)²."""
    difference = n.emit("Sub", n.real(0), n.real(1), step="Sub")
    n.store(n.emit("Mul", difference, difference))


@translates("FLOOR_DIV", "FLOOR_MOD")
def floor_division(n: OperatorView) -> None:
    """Rounded towards minus infinity; the remainder has the sign of the divisor."""
    a, b = n.real(0), n.real(1)
    real = n.input(0).dtype.startswith("float")
    if n.kind == "FLOOR_MOD" and not real:
        n.store(n.emit("Mod", a, b))
    elif n.kind == "FLOOR_MOD":
        whole = n.emit("Floor", n.emit("Div", a, b, step="Div"), step="Floor")
        n.store(n.emit("Sub", a, n.emit("Mul", whole, b, step="Mul")))
    elif real:
        n.store(n.emit("Floor", n.emit("Div", a, b, step="Div")))
    else:
        n.store(n.emit("Div", n.emit("Sub", a, n.emit("Mod", a, b, step="Mod"), step="Sub"), b))


@translates("NOT_EQUAL")
def not_equal(n: OperatorView) -> None:
    """The negation of Equal."""
    n.store(n.emit("Not", n.emit("Equal", n.real(0), n.real(1), step="Equal")))


@translates("SELECT", "SELECT_V2")
def select(n: OperatorView) -> None:
    """Where; the older SELECT with a vector of conditions chooses whole rows."""
    condition, rank = n.stored(0), len(n.shape(1))
    if n.kind == "SELECT" and len(n.shape(0)) == 1 and rank > 1:
        column = n.number((-1, *(1,) * (rank - 1)), "int64", "shape")
        condition = n.emit("Reshape", condition, column, step="Reshape")
    if n.input(1).quantization == n.input(2).quantization == n.output().quantization:
        n.keep(n.emit("Where", condition, n.stored(1), n.stored(2)))
    else:
        n.store(n.emit("Where", condition, n.real(1), n.real(2)))


@translates("QUANTIZE")
def quantize(n: OperatorView) -> None:
    """From real numbers, or from one quantization to another."""
    if n.output().quantization is None:
        raise n.malformed(f"its output '{n.output().name}' has no scale")
    n.store(n.real(0))


@translates("DEQUANTIZE")
def dequantize(n: OperatorView) -> None:
    """To float32, from integers or from float16."""
    if n.input(0).quantization is None:
        n.keep(n.emit("Cast", n.stored(0), to=int(ir.DataType.FLOAT)))
    else:
        n.store(n.real(0))
