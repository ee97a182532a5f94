"""Linear quantization: real = (integer - zero point) * scale, with one or many scales a tensor."""

from __future__ import annotations

import math as numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import te

from edgecompile.kernels import math
from edgecompile.kernels.compute import Tensor, shape_of
from edgecompile.kernels.math import Expr, cast


@dataclass(frozen=True)
class Parameters:
    """Scales or zero points for a tensor: one value, one a slice of `axis`, or one a `block` along it."""

    tensor: Tensor
    axis: int
    block: int = 0

    def at(self, index: Sequence[Expr]) -> Expr:
        """The value for the element at `index`."""
        if numbers.prod(shape_of(self.tensor)) == 1:
            return self.tensor(*(0 for _ in self.tensor.shape))
        if self.block:
            place = list(index)
            place[self.axis] = place[self.axis] // self.block
            return self.tensor(*place)
        return self.tensor(index[self.axis])


def quantized(real: Expr, scale: Expr, zero_point: Expr | None, dtype: str) -> Expr:
    """round(real / scale) + zero point as `dtype`: half to even, out of range to the nearest."""
    whole = math.round_half_even(cast(real, "float32") / cast(scale, "float32"))
    if zero_point is not None:
        whole = whole + cast(zero_point, "float32")
    return math.truncated(whole, dtype)


def centered(data: Tensor, zero_point: Callable[[Sequence[Expr]], Expr] | None) -> Tensor:
    """data - zero point, as int32."""

    def difference(*index: Expr) -> Expr:
        value = cast(data(*index), "int32")
        return value if zero_point is None else value - cast(zero_point(index), "int32")

    return te.compute(data.shape, difference, name="centered")


def requantize(
    total: Tensor,
    factor: Callable[[Sequence[Expr]], Expr],
    zero_point: Expr,
    dtype: str,
) -> Tensor:
    """int32 sums times a real factor, as integers with their own zero point."""

    def rescaled(*index: Expr) -> Expr:
        real = math.round_half_even(cast(total(*index), "float32") * factor(index))
        return math.truncated(real + cast(zero_point, "float32"), dtype)

    return te.compute(total.shape, rescaled, name="requantize")


def dequantized(value: Expr, scale: Expr, zero_point: Expr | None, dtype: str) -> Expr:
    """(value - zero point) * scale as `dtype`."""
    whole = cast(value, "int32")
    if zero_point is not None:
        whole = whole - cast(zero_point, "int32")
    return cast(cast(whole, "float32") * cast(scale, "float32"), dtype)
