"""One spelling for sums and products.

before: Sum(a, b, c), Max(a, b, c), Min(a, b, c)        after: Add(Add(a, b), c), Max(Max(a, b), c), ...
before: Mean(a, b)                                      after: Mul(Add(a, b), 1/2)
before: Add(constant, x), Mul(constant, x)              after: Add(x, constant), Mul(x, constant)
before: Sub(x, constant)                                after: Add(x, -constant), floats only
before: Pow(x, 2)                                       after: Mul(x, x), floats only
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.matching import scalar
from edgecompile.passes.rewriting import become, forward, graph_of, insert, rewrite_nodes

_VARIADIC = {"Sum": "Add", "Mean": "Add", "Max": "Max", "Min": "Min"}
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
_COMMUTATIVE = frozenset({"Add", "Mul", "Max", "Min"})


class NormalizeArithmetic:
    """Binary operators only, constants as second operand."""

    name = "normalize_arithmetic"
    tolerance = 1e-6  # the mean of n values is multiplied by 1/n instead of divided by n

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(
            model, "sums and products normalised", _split, _constant_second, _subtract, _square
        )


def _split(node: ir.Node) -> bool:
    values = list(node.inputs)
    if node.op_type not in _VARIADIC or node.domain or (len(values) == 2 and node.op_type in ("Max", "Min")):
        return False
    shapes = [static_shape(value) for value in values]
    if any(shape is None for shape in shapes) or None in values:
        return False
    values.sort(key=lambda value: constant_of(value) is not None)
    binary, total = _VARIADIC[node.op_type], values[0]
    assert total is not None
    for value in values[1:]:
        shape = np.broadcast_shapes(static_shape(total) or (), static_shape(value) or ())
        total = insert(node, binary, [total, value], shape=shape)
    if node.op_type == "Mean" and len(values) > 1:
        become(node, "Mul", [total, _constant_like(node, np.array(1 / len(values)), total)])
    else:
        forward(node, total)
    return True


def _constant_second(node: ir.Node) -> bool:
    if node.op_type not in _COMMUTATIVE or node.domain or len(node.inputs) != 2:
        return False
    first, second = node.inputs
    if constant_of(first) is None or constant_of(second) is not None:
        return False
    become(node, node.op_type, [second, first])
    return True


def _subtract(node: ir.Node) -> bool:
    second = constant_of(node.inputs[1]) if node.op_type == "Sub" and not node.domain else None
    first = node.inputs[0] if second is not None else None
    if second is None or first is None or second.dtype.kind != "f" or constant_of(first) is not None:
        return False
    become(node, "Add", [first, _constant_like(node, -second, first)])
    return True


def _square(node: ir.Node) -> bool:
    if node.op_type != "Pow" or node.domain or scalar(node.inputs[1]) != 2.0:
        return False
    x, result = node.inputs[0], node.outputs[0]
    if x is None or result.dtype not in _FLOATS or static_shape(x) != static_shape(result):
        return False
    become(node, "Mul", [x, x])
    return True


def _constant_like(node: ir.Node, array: np.ndarray, like: ir.Value) -> ir.Value:
    assert like.dtype is not None
    hint = f"{node.outputs[0].name}/constant"
    return add_initializer(graph_of(node), hint, array.astype(like.dtype.numpy()), like)
