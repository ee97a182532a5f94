"""Building blocks of operator rows: reading with broadcasting, computing element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import te, tirx

from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.math import Expr, let
from edgecompile.lower.registry import Builder, NodeView, Tensor


def element(tensor: Tensor, index: Sequence[Expr]) -> Expr:
    """The element of `tensor` at `index` of a shape that it broadcasts to (numpy's rule)."""
    shape = shape_of(tensor)
    value = _constant_of(tensor)
    if value is not None:
        return value
    tail = index[len(index) - len(shape) :]
    return tensor(*(0 if extent == 1 else at for extent, at in zip(shape, tail, strict=True)))


def _constant_of(tensor: Tensor) -> Expr | None:
    """The value of a tensor that is the same constant everywhere."""
    body = tensor.op.body[0] if isinstance(tensor.op, te.ComputeOp) else None
    return body if isinstance(body, tirx.IntImm | tirx.FloatImm) else None


def pointwise(n: NodeView, function: Callable[..., Expr], *tensors: Tensor, output: int = 0) -> Tensor:
    """`function` of the broadcast elements of `tensors` (default: all inputs that are there)."""
    operands = tensors or tuple(tensor for tensor in n.inputs if tensor is not None)
    info = n.outputs[output]

    def compute(*index: Expr) -> Expr:
        return _bound([element(t, index) for t in operands], operands, function)

    return te.compute(info.shape, compute, name="y")


def _bound(values: Sequence[Expr], tensors: Sequence[Tensor], function: Callable[..., Expr]) -> Expr:
    """function(*values), where a value that will be inlined is bound: it is computed once in the kernel."""
    if not values:
        return function()

    def with_first(value: Expr) -> Expr:
        return _bound(values[1:], tensors[1:], lambda *others: function(value, *others))

    is_inlined = isinstance(tensors[0].op, te.ComputeOp)
    return let(values[0], with_first) if is_inlined else with_first(values[0])


def row(function: Callable[..., Expr]) -> Builder:
    """The builder of an operator without attributes: `function` of the elements of its inputs."""

    def build(n: NodeView) -> Tensor:
        return pointwise(n, function)

    return build


def scalar(tensor: Tensor) -> Expr:
    """The only element of a tensor of one element, whatever its rank."""
    value = _constant_of(tensor)
    return tensor(*(0 for _ in tensor.shape)) if value is None else value


def normalized_axis(n: NodeView, axis: int, rank: int) -> int:
    """`axis` in [0, rank); raises UnsupportedError when it is not one of the tensor."""
    if not -rank <= axis < max(rank, 1):
        raise n.unsupported(f"axis {axis} does not exist in a tensor of {rank} dimensions")
    return axis % rank if rank else 0
