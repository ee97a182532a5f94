"""Building blocks of operator rows: reading with broadcasting, computing element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import te, tirx

from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.math import Expr, cast, const, select
from edgecompile.lower.registry import Builder, NodeView, Tensor


def element(tensor: Tensor, index: Sequence[Expr]) -> Expr:
    """The element of `tensor` at `index` of a shape that it broadcasts to (numpy's rule)."""
    shape = shape_of(tensor)
    tail = index[len(index) - len(shape) :]
    return tensor(*(0 if extent == 1 else at for extent, at in zip(shape, tail, strict=True)))


def pointwise(n: NodeView, function: Callable[..., Expr], *tensors: Tensor, output: int = 0) -> Tensor:
    """`function` of the broadcast elements of `tensors` (default: all inputs that are there)."""
    operands = tensors or tuple(tensor for tensor in n.inputs if tensor is not None)
    info = n.outputs[output]
    return te.compute(info.shape, lambda *index: function(*(element(t, index) for t in operands)), name="y")


def row(function: Callable[..., Expr]) -> Builder:
    """The builder of an operator without attributes: `function` of the elements of its inputs."""

    def build(n: NodeView) -> Tensor:
        return pointwise(n, function)

    return build


def wrapped_index(index: Expr, extent: int) -> Expr:
    """An index from the network's data as int32: negative counts from the end; clamped to stay in memory.

    ONNX leaves indices outside of [-extent, extent) undefined.
    """
    at = cast(index, "int32")
    positive = select(at < const(0, "int32"), at + const(extent, "int32"), at)
    return tirx.max(tirx.min(positive, const(extent - 1, "int32")), const(0, "int32"))


def scalar(tensor: Tensor) -> Expr:
    """The only element of a tensor of one element, whatever its rank."""
    return tensor(*(0 for _ in tensor.shape))


def normalized_axis(n: NodeView, axis: int, rank: int) -> int:
    """`axis` in [0, rank); raises UnsupportedError when it is not one of the tensor."""
    if not -rank <= axis < max(rank, 1):
        raise n.unsupported(f"axis {axis} does not exist in a tensor of {rank} dimensions")
    return axis % rank if rank else 0


def strides_of(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next along each axis, in row-major order."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.insert(0, step)
        step *= extent
    return strides
