"""What moves elements, copies them or chooses among them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as f

from edgecompile.torch.functions.call import Call, Function

_PAD_MODES = ("constant", "edge", "reflect")


def _reshape(call: Call) -> Tensor:
    shape, x = call.numbers(1) or [], call[0]
    if not call.get_int("allowzero", 0):
        shape = [x.shape[axis] if extent == 0 else extent for axis, extent in enumerate(shape)]
    return x.reshape(shape)


def _flatten(call: Call) -> Tensor:
    x, axis = call[0], call.get_int("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(prod(x.shape[:axis]), -1)


def _transpose(call: Call) -> Tensor:
    return call[0].permute(call.get_ints("perm") or list(reversed(range(call[0].ndim))))


def _split(call: Call) -> tuple[Tensor, ...]:
    x, axis, count = call[0], call.get_int("axis", 0), len(call.node.outputs)
    sizes = call.numbers(1) or -(-x.shape[axis] // count)
    return tuple(torch.split(x, sizes, axis))


def _slice(call: Call) -> Tensor:
    x, starts, ends = call[0], call.numbers(1) or [], call.numbers(2) or []
    axes = call.numbers(3) or list(range(len(starts)))
    steps = call.numbers(4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        chosen = range(*slice(start, end, step).indices(x.shape[axis]))
        if step == 1:
            x = x.narrow(axis, chosen.start, len(chosen))
        else:
            x = x.index_select(axis, torch.tensor([*chosen], dtype=torch.int64))
    return x


def _squeeze(call: Call) -> Tensor:
    axes = call.numbers(1)
    return call[0].squeeze() if axes is None else call[0].squeeze(axes)


def _unsqueeze(call: Call) -> Tensor:
    x, axes = call[0], call.numbers(1) or []
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _pad(call: Call) -> Tensor:
    x, pads = call[0], call.numbers(1) or []
    mode = call.get_string("mode", "constant")
    call.require(mode in _PAD_MODES, f"mode {mode}")
    axes = [axis % x.ndim for axis in call.numbers(3) or range(x.ndim)]
    before, behind = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(axes):
        before[axis], behind[axis] = pads[place], pads[place + len(axes)]
    sizes = [size for axis in reversed(range(x.ndim)) for size in (before[axis], behind[axis])]
    number = call.optional(2)
    if mode == "constant":
        return f.pad(x, sizes, value=0.0 if number is None else number.item())
    for axis, last in enumerate(extent - 1 for extent in x.shape):
        if before[axis] or behind[axis]:
            places = torch.arange(-before[axis], last + 1 + behind[axis])
            inside = places.clamp(0, last) if mode == "edge" else last - (last - places.abs()).abs()
            x = x.index_select(axis, inside)
    return x


def _gather(call: Call) -> Tensor:
    x, indices, axis = call[0], call[1].long(), call.get_int("axis", 0)
    axis %= x.ndim
    chosen = x.index_select(axis, (indices % x.shape[axis]).reshape(-1))
    return chosen.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _cast(call: Call) -> Tensor:
    from onnx_ir import DataType

    kind = DataType(call.get_int("to", 1)).numpy()
    return call[0].to(torch.from_numpy(np.zeros(0, kind)).dtype)


def _constant(call: Call) -> Tensor:
    value = call.node.attributes.get_tensor("value", None)
    call.require(value is not None, "another attribute than value")
    assert value is not None
    return torch.from_numpy(np.array(value.numpy()))


def _expand(call: Call) -> Tensor:
    return call[0].broadcast_to(torch.broadcast_shapes(call[0].shape, call.numbers(1) or []))


def _space(call: Call) -> tuple[Tensor, int]:
    call.require(call[0].ndim == 4, "another rank than 4")
    return call[0], call.get_int("blocksize", 1)


def _depth_to_space(call: Call) -> Tensor:
    x, size = _space(call)
    n, c, h, w = x.shape
    if call.get_string("mode", "DCR") == "CRD":
        return f.pixel_shuffle(x, size)
    cells = x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return cells.reshape(n, c // size**2, h * size, w * size)


def _space_to_depth(call: Call) -> Tensor:
    x, size = _space(call)
    n, c, h, w = x.shape
    cells = x.reshape(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
    return cells.reshape(n, c * size**2, h // size, w // size)


TABLE: Mapping[str, Function] = {
    "Cast": _cast,
    "Concat": lambda call: torch.cat(call.present(), call.get_int("axis", 0)),
    "Constant": _constant,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": lambda call: torch.tensor(call[0].shape, dtype=torch.int64),
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": lambda call: call[0].tile(call.numbers(1) or []),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
