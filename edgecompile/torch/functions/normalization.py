"""Normalizations and softmax."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as f

from edgecompile.torch.functions.call import Call, Function


def _batch_normalization(call: Call) -> Tensor:
    call.require(not call.get_int("training_mode", 0), "training_mode")
    x, scale, bias, mean, variance = (call[index] for index in range(5))
    return f.batch_norm(x, mean, variance, scale, bias, eps=call.get_float("epsilon", 1e-5))


def _layer_normalization(call: Call) -> Tensor:
    call.require(len(call.node.outputs) == 1, "statistics as further outputs")
    axis = call.get_int("axis", -1)
    x, epsilon = call[0], call.get_float("epsilon", 1e-5)
    result = f.layer_norm(x, x.shape[axis:], eps=epsilon) * call[1]
    bias = call.optional(2)
    return result if bias is None else result + bias


def _rms_normalization(call: Call) -> Tensor:
    x, axis = call[0], call.get_int("axis", -1)
    axes = list(range(axis % x.ndim, x.ndim))
    squares = x.square().mean(axes, keepdim=True)
    return x * torch.rsqrt(squares + call.get_float("epsilon", 1e-5)) * call[1]


TABLE: Mapping[str, Function] = {
    "BatchNormalization": _batch_normalization,
    "GroupNormalization": lambda call: f.group_norm(
        call[0], call.get_int("num_groups", 1), call[1], call[2], call.get_float("epsilon", 1e-5)
    ),
    "InstanceNormalization": lambda call: f.instance_norm(
        call[0], weight=call[1], bias=call[2], eps=call.get_float("epsilon", 1e-5)
    ),
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": lambda call: torch.log_softmax(call[0], call.get_int("axis", -1)),
    "RMSNormalization": _rms_normalization,
    "Softmax": lambda call: torch.softmax(call[0], call.get_int("axis", -1)),
}
