"""Sliding windows over channels-first NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecompile.passes.quantize.arithmetic import Array


def windows_of(data: Array, attributes: Mapping[str, Any], fill: int) -> Array:
    """[N, C, *S] -> [N, C, *out, *K], outside of the data `fill`; attributes as of ONNX's Conv."""
    rank = data.ndim - 2
    kernel = attributes["kernel_shape"]
    strides = attributes.get("strides") or (1,) * rank
    dilations = attributes.get("dilations") or (1,) * rank
    pads = attributes.get("pads") or (0,) * 2 * rank
    borders = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    padded = np.pad(data, borders, constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + rank)))
    steps = [slice(None, None, step) for step in (*strides, *dilations)]
    return windows[(slice(None), slice(None), *steps)]


def window_sums(data: Array, attributes: Mapping[str, Any], pads: int) -> Array:
    """The sum over each window, where an element of the padding counts as `pads`."""
    rank = data.ndim - 2
    return np.asarray(windows_of(data, attributes, pads).sum(tuple(range(-rank, 0))))
