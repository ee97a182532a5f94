"""Attention (opset 23 and later), with caches, masks, windows and grouped heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from edgecompile.kernels.compute import accumulator, shape_of
from edgecompile.kernels.compute_attention import AttentionOperands, Heads, Masking, Scores, attention
from edgecompile.kernels.gpu.attention import GpuAttention, query_counts
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.space import option_features
from edgecompile.kernels.schedules.space import Option, OptionSpace
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("Attention", kind=Kind.OPAQUE)
def attention_op(n: NodeView) -> list[Tensor]:
    """Results Y, present_key, present_value, qk_matmul_output; the softmax is computed in float32 or more."""
    heads = _heads(n)
    if not (heads.total and heads.size and heads.value_size):
        raise n.unsupported("its keys or values are empty", "remove the node")
    wanted = [index < len(n.outputs) and bool(n.outputs[index].name) for index in range(4)]
    stage = int(n.attr("qk_matmul_output_mode", 0)) if wanted[3] else None
    scale = n.attr("scale")
    factor = 1 / math.sqrt(heads.size) if scale is None else float(scale)
    masking = Masking(
        bool(n.attr("is_causal", 0)), n.attr("left_window_size", -1), n.attr("right_window_size", -1)
    )
    scores = Scores(factor, float(n.attr("softcap", 0.0)), masking, stage)
    optional = [n.input(index) if n.has(index) else None for index in range(3, 7)]
    operands = AttentionOperands(n.input(0), n.input(1), n.input(2), *optional)
    present = wanted[1] or wanted[2]
    emit = _gpu_attention(n, heads) if n.isa.multiprocessors else None
    results = attention(operands, heads, scores, present, n.outputs[0].shape, n.isa, emit)
    positions = [0, *([1, 2] if present else []), *([3] if stage is not None else [])]
    by_position = dict(zip(positions, results, strict=True))
    return [by_position.get(index, results[0]) for index in range(len(n.outputs))]


def _gpu_attention(n: NodeView, heads: Heads) -> Callable[..., GpuAttention]:
    gpu, counts = Gpu(n.isa.multiprocessors), query_counts(heads, accumulator(n.outputs[0].dtype))
    option = n.plans.choose(
        OptionSpace("queries", (0, *counts), partial(option_features, gpu, n.outputs[0].shape))
    )
    assert isinstance(option, Option)
    return partial(GpuAttention, queries=option.value)


def _heads(n: NodeView) -> Heads:
    query, key, value = (shape_of(n.input(index)) for index in range(3))
    past = shape_of(n.input(4))[2] if n.has(4) else 0
    if len(query) == 4:
        extents = (query[0], query[1], key[1], query[2], key[2], past, query[3], value[3])
        return Heads(*extents, merged=False)
    query_heads, key_heads = int(n.attr("q_num_heads")), int(n.attr("kv_num_heads"))
    size, value_size = query[2] // query_heads, value[2] // key_heads
    extents = (query[0], query_heads, key_heads, query[1], key[1], past, size, value_size)
    return Heads(*extents, merged=True)
