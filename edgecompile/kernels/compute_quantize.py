"""Linear quantization: real = (integer - zero point) * scale, with one or many scales a tensor."""

from __future__ import annotations

import math as numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import te, tirx

from edgecompile.kernels import math
from edgecompile.kernels.compute import Tensor, shape_of
from edgecompile.kernels.loops import Buffer, Row, flat_view, local, nest
from edgecompile.kernels.math import Expr, cast, const, let


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


def uint8_parameters(data: Tensor, lanes: int) -> tuple[Tensor, Tensor]:
    """The scale (float32) and zero point with which uint8 covers the elements of `data`, and 0 exactly.

    Both are scalars. What is 0 everywhere gets scale 1. Extremes are sought in `lanes` lanes at a time.
    """
    row, zero = Row(numbers.prod(shape_of(data)), vector=True, lanes=lanes), const(0.0, "float32")

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        elements = flat_view(reads[0])
        least, most = local(row.lanes, "float32"), local(row.lanes, "float32")
        row.fill(least, zero)
        row.fill(most, zero)

        def step(position: Expr, lane: Expr) -> None:
            least[lane] = tirx.min(least[lane], elements[position])
            most[lane] = tirx.max(most[lane], elements[position])

        row.each(step)
        low, high = row.finish(least, tirx.min), row.finish(most, tirx.max)
        writes[0][()] = _covering_scale(high - low)
        writes[1][()] = math.truncated(math.round_half_even((zero - low) / writes[0][()]), "uint8")

    scale, zero_point = nest("uint8_parameters", [data], [((), "float32"), ((), "uint8")], body)
    return scale, zero_point


def _covering_scale(width: Expr) -> Expr:
    one, steps = const(1.0, "float32"), const(255.0, "float32")
    return let(width, lambda w: math.select(w > const(0.0, "float32"), w / steps, one))


def dequantized(value: Expr, scale: Expr, zero_point: Expr | None, dtype: str) -> Expr:
    """(value - zero point) * scale as `dtype`."""
    whole = cast(value, "int32")
    if zero_point is not None:
        whole = whole - cast(zero_point, "int32")
    return cast(cast(whole, "float32") * cast(scale, "float32"), dtype)
