"""What slides a window over positions: the geometry, and pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn import functional as f

from edgecompile.torch.functions.call import Call, Function

_MAX_POOLS = {1: f.max_pool1d, 2: f.max_pool2d, 3: f.max_pool3d}
_AVERAGE_POOLS = {1: f.avg_pool1d, 2: f.avg_pool2d, 3: f.avg_pool3d}


@dataclass(frozen=True)
class Window:
    """A window of the extents `kernel`; `starts` and `ends` are the pads before and behind each axis."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    starts: list[int]
    ends: list[int]

    @staticmethod
    def of(call: Call, kernel: Sequence[int]) -> Window:
        """The window of a node. Raises UnsupportedError (EC4392) for pads that are to be computed."""
        automatic = call.get_string("auto_pad", "NOTSET")
        call.require(automatic in ("NOTSET", "VALID"), f"auto_pad {automatic}")
        rank = len(kernel)
        pads = call.get_ints("pads") if automatic == "NOTSET" else None
        pads = pads or [0] * (2 * rank)
        ones = [1] * rank
        strides, dilations = call.get_ints("strides") or ones, call.get_ints("dilations") or ones
        return Window([*kernel], strides, dilations, pads[:rank], pads[rank:])

    @property
    def rank(self) -> int:
        return len(self.kernel)

    def padded(self, x: Tensor, number: float) -> tuple[Tensor, list[int]]:
        """`x` and the pads left to do: PyTorch takes pads that are alike on both sides and not too wide."""
        spans = [(k - 1) * step + 1 for k, step in zip(self.kernel, self.dilations, strict=True)]
        narrow = all(pad <= span // 2 for pad, span in zip(self.starts, spans, strict=True))
        if self.starts == self.ends and narrow:
            return x, self.starts
        return self.all_padded(x, number), [0] * self.rank

    def all_padded(self, x: Tensor, number: float) -> Tensor:
        """`x` with all pads, filled with `number`."""
        pairs = [*zip(self.starts, self.ends, strict=True)]
        return f.pad(x, [size for pair in reversed(pairs) for size in pair], value=number)


def _max_pool(call: Call) -> Tensor:
    call.require(len(call.node.outputs) == 1, "indices as a second output")
    window = Window.of(call, call.get_ints("kernel_shape") or [])
    x, padding = window.padded(call[0], -inf)
    ceil = bool(call.get_int("ceil_mode", 0))
    return _MAX_POOLS[window.rank](x, window.kernel, window.strides, padding, window.dilations, ceil)


def _average_pool(call: Call) -> Tensor:
    window = Window.of(call, call.get_ints("kernel_shape") or [])
    call.require(set(window.dilations) == {1}, "dilations")
    ceil, pool = bool(call.get_int("ceil_mode", 0)), _AVERAGE_POOLS[window.rank]
    count_pads = bool(call.get_int("count_include_pad", 0))
    x, padding = window.padded(call[0], 0.0)
    result = pool(x, window.kernel, window.strides, padding, ceil, count_pads)
    if count_pads or x is call[0]:
        return result
    ones = window.all_padded(torch.ones_like(call[0][:1, :1]), 0.0)
    return result / pool(ones, window.kernel, window.strides, 0, ceil)


def _positions(call: Call) -> list[int]:
    return list(range(2, call[0].ndim))


TABLE: Mapping[str, Function] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda call: call[0].mean(_positions(call), keepdim=True),
    "GlobalMaxPool": lambda call: call[0].amax(_positions(call), keepdim=True),
    "MaxPool": _max_pool,
}
