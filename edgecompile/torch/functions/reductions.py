"""One number from the elements along some axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from edgecompile.torch.functions.call import Call, Function


def _reduce(compute: Callable[..., Any]) -> Function:
    """A reduction whose axes are input 1 (opset 18); without them all, or none."""

    def function(call: Call) -> Tensor:
        axes = call.numbers(1)
        if not axes and call.get_int("noop_with_empty_axes", 0):
            return call[0]
        return compute(call[0], axes or list(range(call[0].ndim)), keepdim=bool(call.get_int("keepdims", 1)))

    return function


def _arg_max(call: Call) -> Tensor:
    call.require(not call.get_int("select_last_index", 0), "select_last_index")
    return torch.argmax(call[0], call.get_int("axis", 0), keepdim=bool(call.get_int("keepdims", 1)))


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": lambda x, axes, keepdim: x.abs().sum(axes, keepdim=keepdim),
    "ReduceL2": lambda x, axes, keepdim: torch.linalg.vector_norm(x, 2, axes, keepdim=keepdim),
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceSum": torch.sum,
    "ReduceSumSquare": lambda x, axes, keepdim: x.square().sum(axes, keepdim=keepdim),
}

TABLE: Mapping[str, Function] = {
    "ArgMax": _arg_max,
    **{name: _reduce(compute) for name, compute in _REDUCTIONS.items()},
}
