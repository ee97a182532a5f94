"""Sums of products: convolutions and products of matrices."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as f

from edgecompile.torch.functions.call import Call, Function
from edgecompile.torch.functions.windows import Window

_CONVOLUTIONS = {1: f.conv1d, 2: f.conv2d, 3: f.conv3d}
_TRANSPOSED = {1: f.conv_transpose1d, 2: f.conv_transpose2d, 3: f.conv_transpose3d}


def _conv(call: Call) -> Tensor:
    window = Window.of(call, call[1].shape[2:])
    x, padding = window.padded(call[0], 0.0)
    compute = _CONVOLUTIONS[window.rank]
    groups = call.get_int("group", 1)
    return compute(x, call[1], call.optional(2), window.strides, padding, window.dilations, groups)


def _conv_transpose(call: Call) -> Tensor:
    """Pads of this operator are cut off the result."""
    call.require(call.get_ints("output_shape") is None, "output_shape")
    window = Window.of(call, call[1].shape[2:])
    extra = call.get_ints("output_padding") or [0] * window.rank
    compute, groups = _TRANSPOSED[window.rank], call.get_int("group", 1)
    # What the last pads cut off, output_padding may give back.
    last = [max(size - more, 0) for size, more in zip(window.ends, extra, strict=True)]
    more = [max(more - size, 0) for size, more in zip(window.ends, extra, strict=True)]
    result = compute(call[0], call[1], call.optional(2), window.strides, 0, more, groups, window.dilations)
    for axis, (first, end) in enumerate(zip(window.starts, last, strict=True), start=2):
        result = result.narrow(axis, first, result.shape[axis] - first - end)
    return result


def _gemm(call: Call) -> Tensor:
    a = call[0].T if call.get_int("transA", 0) else call[0]
    b = call[1].T if call.get_int("transB", 0) else call[1]
    alpha, beta, c = call.get_float("alpha", 1.0), call.get_float("beta", 1.0), call.optional(2)
    return alpha * (a @ b) if c is None else torch.addmm(c, a, b, beta=beta, alpha=alpha)


def _attention(call: Call) -> Tensor:
    """Without a cache of earlier keys and values."""
    call.require(call[0].ndim == 4 and len(call.node.outputs) == 1, "another rank than 4, or a cache")
    call.require(not call.get_float("softcap", 0.0), "softcap")
    scale = call.get_float("scale", 0.0) or None
    query, key, value, causal = call[0], call[1], call[2], bool(call.get_int("is_causal", 0))
    grouped = query.shape[1] != key.shape[1]
    return f.scaled_dot_product_attention(
        query, key, value, call.optional(3), is_causal=causal, scale=scale, enable_gqa=grouped
    )


TABLE: Mapping[str, Function] = {
    "Attention": _attention,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": lambda call: torch.matmul(call[0], call[1]),
}
