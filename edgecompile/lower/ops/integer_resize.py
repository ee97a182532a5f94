"""Linear interpolation of domain edgecompile.integer."""

from __future__ import annotations

import numpy as np

from edgecompile.core.integer import DOMAIN
from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.compute_integer_resize import resize_linear
from edgecompile.lower.registry import Kind, NodeView, Tensor, op
from edgecompile.lower.requantization import constants


@op("ResizeLinear", kind=Kind.ANCHOR, static=(1, 2, 3), domain=DOMAIN)
def resize_linear_op(n: NodeView) -> Tensor:
    """Between two neighbours along each of the attribute `axes`, in fixed point."""
    bits, extents = n.attr("bits"), shape_of(n.input(0))
    parts = np.split(n.require_const(1), np.cumsum(n.attr("sizes"))[:-1])
    tables = {
        axis: n.weight(_places(part, bits, extents[axis]), f"axis{axis}_places")
        for axis, part in zip(n.attr("axes"), parts, strict=True)
    }
    rescaled = n.const(2) is not None
    return resize_linear(
        n.input(0), tables, n.outputs[0].shape, bits, n.attr("x_zero"), constants(n, 2), rescaled
    )


def _places(positions: np.ndarray, bits: int, extent: int) -> np.ndarray:
    """Both neighbours and the fraction between them, [positions, 3]."""
    low = positions >> bits
    return np.stack([low, np.minimum(low + 1, extent - 1), positions - (low << bits)], 1).astype(np.int32)
