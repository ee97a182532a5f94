"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR of images."""

from __future__ import annotations

from edgecompile.frontend.tflite.convolution import TO_CHANNELS_FIRST, TO_CHANNELS_LAST, image
from edgecompile.frontend.tflite.registry import translates
from edgecompile.frontend.tflite.view import OperatorView


def _coordinates(n: OperatorView) -> str:
    if n.option("AlignCorners"):
        return "align_corners"
    return "half_pixel" if n.option("HalfPixelCenters") else "asymmetric"


def _sizes(n: OperatorView) -> tuple[int, ...]:
    """[N, C, H, W] of the result."""
    batch, _, _, channels = image(n, 0)
    size = n.integers(1)
    if len(size) != 2 or min(size) < 1:
        raise n.malformed(f"new size {list(size)}")
    return (batch, channels, *size)


@translates("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest(n: OperatorView) -> None:
    """TFLite rounds coordinates down in its old convention, half up in the two newer ones."""
    mode = _coordinates(n)
    rounding = "floor" if mode == "asymmetric" else "round_prefer_ceil"
    sizes = n.number(_sizes(n), "int64", "sizes")
    attributes = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": rounding}
    result = n.emit("Resize", n.stored(0, TO_CHANNELS_FIRST), None, None, sizes, **attributes)
    n.keep(n.emit("Transpose", result, step="Transpose", perm=TO_CHANNELS_LAST))


@translates("RESIZE_BILINEAR")
def resize_bilinear(n: OperatorView) -> None:
    """On real numbers; beyond the border the border counts."""
    sizes = n.number(_sizes(n), "int64", "sizes")
    attributes = {"mode": "linear", "coordinate_transformation_mode": _coordinates(n)}
    result = n.emit("Resize", n.real(0, TO_CHANNELS_FIRST), None, None, sizes, **attributes)
    n.store(result, perm=TO_CHANNELS_LAST)
