"""Images as TensorFlow Lite has them, [N, H, W, C], and windows over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgecompile.backends.tflite.registry import NotExpressible
from edgecompile.backends.tflite.view import NodeView
from edgecompile.frontend.tflite.convolution import same_padding

_SAME, VALID = 0, 1


def image(n: NodeView) -> int:
    """Input 0 as an image; a signal [N, C, L] is one of height 1."""
    index = n.input(0)
    if n.node.op_type.endswith("Nhwc"):
        return index
    rank = len(n.tensor(index).shape)
    if rank not in (3, 4):
        raise NotExpressible(f"its data has {rank} axes")
    index = n.transpose(index, (0, *range(2, rank), 1))
    return n.reshape(index, _with_height(n.tensor(index).shape))


def from_image(n: NodeView, index: int) -> None:
    """The image in tensor `index` is the node's result, in the node's own layout."""
    if not n.node.op_type.endswith("Nhwc"):
        batch, height, width, channels = n.tensor(index).shape
        signal = len(n.shape) == 3
        index = n.reshape(index, (batch, width, channels) if signal else (batch, height, width, channels))
        index = n.transpose(index, (0, 2, 1) if signal else (0, 3, 1, 2))
    n.finish(index)


def image_shape(n: NodeView) -> list[int]:
    """The shape of the node's result as an image."""
    if n.node.op_type.endswith("Nhwc"):
        return list(n.shape)
    batch, channels, *spatial = n.shape
    return [batch, *[1] * (2 - len(spatial)), *spatial, channels]


def window(
    n: NodeView, index: int, fill: int | None = None, needed: Sequence[int] | None = None
) -> tuple[int, dict[str, Any]]:
    """The image padded as far as TFLite cannot do it by itself, and the options of the window over it.

    What is padded holds `fill`, by default the integer that stands for zero. There are at least as many
    windows as are `needed` along each axis.
    """
    kernel, strides, dilations = (_pair(n.option(name)) for name in ("kernel_shape", "strides", "dilations"))
    pads = tuple(n.option("pads") or (0,) * 4)
    if len(pads) == 2:
        pads = (0, pads[0], 0, pads[1])
    shape = n.tensor(index).shape
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if needed is not None:
        reach = [(count - 1) * s + e for count, s, e in zip(needed, strides, extent, strict=True)]
        ends = [max(pads[2 + i], reach[i] - shape[1 + i] - pads[i]) for i in (0, 1)]
        pads = (*pads[:2], *ends)
    same = list(pads) == same_padding(shape[1:3], extent, strides)
    if any(pads) and not same:
        index = pad(n, index, [(0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)], fill)
    options = {"Padding": _SAME if same else VALID, "StrideH": strides[0], "StrideW": strides[1]}
    if dilations != (1, 1):
        options |= {"DilationHFactor": dilations[0], "DilationWFactor": dilations[1]}
    return index, options


def pad(n: NodeView, index: int, around: list[tuple[int, int]], fill: int | None = None) -> int:
    """Tensor `index` with elements `around` it, before and after each axis; see `window`."""
    tensor = n.tensor(index)
    shape = [size + before + after for size, (before, after) in zip(tensor.shape, around, strict=True)]
    table = n.constant(around, "int32", "paddings")
    if fill is None or (tensor.quantization is not None and fill == tensor.quantization.zero_point[0]):
        return n.emit("PAD", [index, table], shape)
    value = n.constant([fill], "int8", "fill", tensor.quantization)
    return n.emit("PADV2", [index, table, value], shape)


def _pair(given: Any) -> tuple[int, int]:
    numbers = tuple(given or (1, 1))
    return (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])


def _with_height(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])
