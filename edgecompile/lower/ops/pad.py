"""Pad: constant, edge, reflect and wrap."""

from __future__ import annotations

from collections.abc import Callable

from tvm import te, tirx

from edgecompile.kernels.compute import element_type, shape_of
from edgecompile.kernels.math import Expr, const, select
from edgecompile.lower.pointwise import normalized_axis, scalar
from edgecompile.lower.registry import Kind, NodeView, Tensor, op

# The coordinate inside [0, extent) that stands for one outside.
_MIRRORS: dict[str, Callable[[Expr, int], Expr]] = {
    "edge": lambda at, extent: tirx.max(tirx.min(at, const(extent - 1, "int32")), const(0, "int32")),
    "wrap": lambda at, extent: tirx.floormod(at, const(extent, "int32")),
    "reflect": lambda at, extent: _reflected(at, extent),
}


@op("Pad", kind=Kind.ANCHOR, static=(1, 3))
def pad(n: NodeView) -> Tensor:
    """Elements added before and after each axis, or removed where the number is negative."""
    data, mode = n.input(0), n.attr("mode", "constant")
    before = begin_pads(n, len(data.shape))
    if mode == "constant":
        return _constant(n, data, before)
    if mode not in _MIRRORS:
        raise n.unsupported(f"mode '{mode}' is not known", "use constant, edge, reflect or wrap")
    mirror, extents, results = _MIRRORS[mode], shape_of(data), n.outputs[0].shape

    def place(*index: Expr) -> Expr:
        return data(
            *(
                i if extent == result and b == 0 else mirror(i - b, extent)
                for i, b, extent, result in zip(index, before, extents, results, strict=True)
            )
        )

    return te.compute(results, place, name="pad")


def begin_pads(n: NodeView, rank: int) -> list[int]:
    """Elements added at the beginning of each axis; before opset 11 the pads were an attribute."""
    given = n.attr("pads")
    pads = [int(v) for v in (given if given is not None else n.require_const(1))]
    chosen = n.const(3)
    axes = [int(a) for a in chosen] if chosen is not None else list(range(rank))
    before = [0] * rank
    for axis, amount in zip(axes, pads, strict=False):
        before[normalized_axis(n, axis, rank)] = amount
    return before


def _constant(n: NodeView, data: Tensor, before: list[int]) -> Tensor:
    extents, results = shape_of(data), n.outputs[0].shape
    fill = scalar(n.input(2)) if n.has(2) else const(n.attr("value", 0), element_type(data))

    def value(*index: Expr) -> Expr:
        at = [i - b for i, b in zip(index, before, strict=True)]
        inside = [a >= 0 for a, b in zip(at, before, strict=True) if b > 0]
        inside += [
            a < extent
            for a, b, extent, result in zip(at, before, extents, results, strict=True)
            if result - b > extent
        ]
        return tirx.if_then_else(tirx.all(*inside), data(*at), fill) if inside else data(*at)

    return te.compute(results, value, name="pad")


def _reflected(at: Expr, extent: int) -> Expr:
    """Mirrored at the first and last element, as often as needed."""
    if extent == 1:
        return const(0, "int32")
    period = 2 * (extent - 1)
    phase = tirx.floormod(at, const(period, "int32"))
    return select(phase < extent, phase, const(period, "int32") - phase)
