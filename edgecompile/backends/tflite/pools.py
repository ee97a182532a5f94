"""Pools."""

from __future__ import annotations

from typing import Any

from edgecompile.backends.tflite.images import VALID, from_image, image, image_shape, window
from edgecompile.backends.tflite.registry import NotExpressible, writes
from edgecompile.backends.tflite.view import NodeView


@writes("MaxPool", "MaxPoolNhwc")
def max_pool(n: NodeView) -> None:
    """MAX_POOL_2D; what is padded, and what the last window lacks, is the least integer."""
    if n.option("auto_pad", "NOTSET") != "NOTSET":
        raise NotExpressible("it has auto_pad")
    if any(number != 1 for number in n.option("dilations") or ()):
        raise NotExpressible("it has dilations")
    index, options = window(n, image(n), fill=-128, needed=image_shape(n)[1:3])
    kernel = _kernel(n, n.option("kernel_shape"))
    from_image(n, n.emit("MAX_POOL_2D", [index], image_shape(n), **options, **kernel))


@writes("AveragePool", "AveragePoolNhwc")
def average_pool(n: NodeView) -> None:
    """AVERAGE_POOL_2D, which has one scale for input and output."""
    _check_one_scale(n)
    if any(number != 1 for number in n.option("dilations") or ()):
        raise NotExpressible("it has dilations")
    data = image(n)
    index, options = window(n, data)
    padded = index != data
    counts = n.option("count_include_pad", 0)
    if (padded and not counts) or (options["Padding"] != VALID and counts and any(n.option("pads"))):
        raise NotExpressible("it counts what is padded differently")
    kernel = _kernel(n, n.option("kernel_shape"))
    from_image(n, n.emit_clamped("AVERAGE_POOL_2D", [index], image_shape(n), **options, **kernel))


@writes("GlobalAveragePool", "GlobalAveragePoolNhwc")
def global_average_pool(n: NodeView) -> None:
    """AVERAGE_POOL_2D of one window."""
    _check_one_scale(n)
    index = image(n)
    kernel = _kernel(n, n.tensor(index).shape[1:3])
    options = {"Padding": VALID, "StrideH": 1, "StrideW": 1}
    from_image(n, n.emit_clamped("AVERAGE_POOL_2D", [index], image_shape(n), **options, **kernel))


def _check_one_scale(n: NodeView) -> None:
    if n.has(1):
        raise NotExpressible("its input and its output have different scales")


def _kernel(n: NodeView, shape: tuple[int, ...]) -> dict[str, Any]:
    height, width = (1, *shape)[-2:]
    return {"FilterHeight": height, "FilterWidth": width}
