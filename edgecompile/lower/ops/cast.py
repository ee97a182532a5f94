"""Changes of the element type."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from edgecompile.kernels import math
from edgecompile.kernels.compute import element_type
from edgecompile.kernels.math import Expr, const, dtype_of, is_float, logical_not
from edgecompile.lower.pointwise import pointwise
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("Cast", "CastLike", kind=Kind.ELEMENTWISE)
def cast(n: NodeView) -> Tensor:
    """Convert to the output's type. `saturate` and `round_mode` concern 8-bit floats only."""
    dtype, data = n.outputs[0].dtype, n.input(0)
    return pointwise(n, lambda x: converted(x, dtype), data)


@op("BitCast", kind=Kind.ELEMENTWISE)
def bit_cast(n: NodeView) -> Tensor:
    """The same bits as another type of the same width."""
    dtype, data = n.outputs[0].dtype, n.input(0)
    if np.dtype(element_type(data)).itemsize != np.dtype(dtype).itemsize:
        raise n.unsupported(f"{data.dtype} and {dtype} differ in width")

    def reinterpreted(x: Expr) -> Expr:
        source = dtype_of(x)
        if source == "bool":
            x = math.cast(x, "uint8")
        return converted(x, dtype) if dtype == "bool" else tirx.reinterpret(dtype, x)

    return pointwise(n, reinterpreted, data)


def converted(value: Expr, dtype: str) -> Expr:
    """`value` as `dtype`: float to integer saturates, integer to integer wraps, bool is != 0."""
    source = dtype_of(value)
    if source == dtype:
        return value
    if dtype == "bool":
        return logical_not(tirx.EQ(value, const(0, source)))
    if source == "bool":
        return math.cast(math.cast(value, "uint8"), dtype)
    if is_float(source) and not is_float(dtype):
        return math.truncated(value, dtype)
    if dtype == "float16" or source == "float16":
        # Only conversions between float16 and float32 have instructions or helpers everywhere.
        return math.cast(math.cast(value, "float32"), dtype)
    return math.cast(value, dtype)
