"""Softmax and LogSoftmax."""

from __future__ import annotations

from edgecompile.kernels import compute_softmax
from edgecompile.lower.planned import row_loops
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("Softmax", kind=Kind.OPAQUE)
def softmax(n: NodeView) -> Tensor:
    """Softmax along one axis (the meaning since opset 13)."""
    return compute_softmax.softmax(n.input(0), _axis(n), row_loops(n))


@op("LogSoftmax", kind=Kind.OPAQUE)
def log_softmax(n: NodeView) -> Tensor:
    """LogSoftmax along one axis (the meaning since opset 13)."""
    return compute_softmax.log_softmax(n.input(0), _axis(n), row_loops(n))


def _axis(n: NodeView) -> int:
    return int(n.attr("axis", -1)) % len(n.outputs[0].shape)
