"""What the attributes and factors of an integer node say about its result."""

from __future__ import annotations

import numpy as np

from edgecompile.kernels.compute_integer import Requantization
from edgecompile.kernels.math import Expr, const
from edgecompile.kernels.requantize import Form
from edgecompile.lower.registry import NodeView


def per_channel(n: NodeView, multiplier: int) -> Requantization:
    """Inputs `multiplier` and the next are one factor an output channel, read at run time."""
    factor = n.input(multiplier)
    shift = n.input(multiplier + 1) if n.has(multiplier + 1) else None

    def factors(channel: Expr) -> tuple[Expr, Expr | None]:
        return factor(channel), None if shift is None else shift(channel)

    return _requantization(n, factors, _used_shifts(n, multiplier))


def constants(n: NodeView, multiplier: int) -> Requantization:
    """Inputs `multiplier` and the next are a few factors that become part of the code."""
    factor = n.const(multiplier)
    shift = n.const(multiplier + 1)

    def factors(channel: Expr) -> tuple[Expr, Expr | None]:
        assert factor is not None
        number = const(factor[channel].item(), factor.dtype.name)
        return number, None if shift is None else const(shift[channel].item(), "int32")

    return _requantization(n, factors, _used_shifts(n, multiplier))


def _requantization(n: NodeView, factors: object, shifts: np.ndarray | None) -> Requantization:
    y_zero, lo, hi = (int(n.attr(name)) for name in ("y_zero", "lo", "hi"))
    a64 = n.isa.intrinsics and n.isa.triple.startswith("aarch64")
    least = Form.least_shift if shifts is None else int(shifts.min(initial=31))
    most = Form.most_shift if shifts is None else int(shifts.max(initial=0))
    # x86 rounds vectors from SSE4.1 on, which every CPU with longer vectors has.
    form = Form(
        a64 and shifts is not None, least, most, n.isa.intrinsics and (a64 or n.isa.vector_bits > 128)
    )
    mode, dtype, sum_shift = n.attr("rounding"), n.outputs[0].dtype, int(n.attr("sum_shift", 0))
    return Requantization(factors, y_zero, lo, hi, mode, dtype, form, sum_shift)  # type: ignore[arg-type]


def _used_shifts(n: NodeView, multiplier: int) -> np.ndarray | None:
    """Shifts of the channels whose multiplier is not 0."""
    factor, shift = n.const(multiplier), n.const(multiplier + 1)
    return None if shift is None or factor is None else shift[factor != 0]
