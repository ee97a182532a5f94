"""Averages in integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.integer.quantized import Quantized
from edgecompile.passes.integer.site import Site, StaysFloat

_WINDOW = ("kernel_shape", "strides", "dilations", "pads", "count_include_pad")
# Where integers are centred: averages of int8 and of uint8 tensors shall round alike.
_MIDDLE = {"int8": 0, "uint8": 128, "int16": 0}


def convert_average_pool(site: Site) -> None:
    """AveragePool in both layouts."""
    attributes = site.node.attributes
    if attributes.get_int("ceil_mode", 0) or attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        raise StaysFloat("it has ceil_mode or auto_pad")
    x = site.operand(0)
    counts_pads = attributes.get_int("count_include_pad", 0) and any(attributes.get_ints("pads", ()))
    zero = None if counts_pads else common_zero(site, x)
    count = math.prod(attributes.get_ints("kernel_shape", ()))
    _mean(site, x, site.op.base, count, site.kept_attributes(*_WINDOW), zero)


def convert_global_average_pool(site: Site) -> None:
    """GlobalAveragePool in both layouts."""
    x = site.operand(0)
    spatial = x.shape[1:-1] if site.op.layout == "nhwc" else x.shape[2:]
    _mean(site, x, site.op.base, math.prod(spatial), {}, common_zero(site, x))


def common_zero(site: Site, x: Quantized) -> int | None:
    """With one scale and zero point on both sides, the integers themselves are averaged, as TFLite does."""
    return _MIDDLE[x.dtype.name] if x.parameters == site.result.parameters else None


def convert_reduce_mean(site: Site) -> None:
    """ReduceMean over constant axes."""
    x = site.operand(0)
    axes = _axes(site, len(x.shape))
    keepdims = site.node.attributes.get_int("keepdims", 1)
    count = math.prod(x.shape[axis] for axis in axes)
    _mean(site, x, "ReduceMean", count, {"axes": axes, "keepdims": keepdims})


def _axes(site: Site, rank: int) -> Sequence[int]:
    given = site.node.inputs[1] if len(site.node.inputs) > 1 else None
    array = constant_of(given)
    if given is not None and array is None:
        raise StaysFloat("its axes are not constant")
    axes = [] if array is None else [int(axis) % rank for axis in np.ravel(array)]
    if not axes and site.node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        raise StaysFloat("it reduces nothing")
    return sorted(axes) or list(range(rank))


def _mean(
    site: Site,
    x: Quantized,
    base: str,
    count: int,
    attributes: dict[str, Any],
    common_zero: int | None = None,
) -> None:
    """`common_zero` is subtracted before and added after, in the place of both zero points."""
    if static_shape(site.node.outputs[0]) is None or not count > 0:
        raise StaysFloat("it averages nothing")
    factor = x.scale / site.result.scale
    if x.reach * count * max(factor, 1.0) >= 1 << 31:
        raise StaysFloat("its sums do not fit 32 bits")
    lo, hi = site.clamp()
    kind = base + ("Nhwc" if site.op.layout == "nhwc" else "")
    result = site.result_attributes(lo, hi) | {"x_zero": x.zero}
    if common_zero is not None:
        result |= {"x_zero": common_zero, "y_zero": common_zero}
    rescale = [] if x.scale == site.result.scale else site.multiplier([factor])
    site.become(kind, [x.value, *rescale], attributes | result)
