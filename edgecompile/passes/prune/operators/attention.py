"""The operator Attention: a unit is a head of keys and values with all heads of queries that read it.

Of a single head, the columns of queries and keys are units, and those of values.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Reader
from edgecompile.passes.prune.labels import spread
from edgecompile.passes.prune.operators.contraction import has_frozen_heads, tie_heads
from edgecompile.passes.prune.operators.elementwise import join
from edgecompile.passes.prune.trace import Trace, extra_outputs_read, name_of, shape_of


def attention(trace: Trace, node: ir.Node) -> None:
    """Operands are [batch, heads, tokens, size], or [batch, tokens, heads * size] with attributes."""
    rank = len(shape_of(node.inputs[0]))
    if extra_outputs_read(node) or any(node.inputs[4:]):
        return trace.stop(node)
    query, key, value = (_by_head(trace, node, index) for index in range(3))
    shared = query.shape[1] // key.shape[1]
    varying = [axis for labels in (query, key, value) for axis in trace.labels.varying(labels)]
    if (query.shape[1] > 1 and 1 not in varying) or has_frozen_heads(trace, query, key, value):
        return trace.stop(node)
    if 1 in varying:
        key, value = (np.repeat(labels, shared, axis=1) for labels in (key, value))
        heads = tie_heads(trace, node, query, key, value)[..., None, None]
        size = value.shape[3]
        _mask(trace, node, np.broadcast_to(heads, (*query.shape[:3], key.shape[2])))
        result = np.broadcast_to(heads, (*query.shape[:3], size))
        if rank == 3:
            result = result.transpose(0, 2, 1, 3).reshape(shape_of(node.outputs[0]))
        return trace.set(node.outputs[0], result)
    trace.labels.tie(trace.labels.vector(query, 3), trace.labels.vector(key, 3))
    trace.readers += [Reader(name_of(node), index, rank - 1) for index in (0, 1)]
    columns = trace.labels.vector(value, 3)
    return trace.set(node.outputs[0], spread(columns, shape_of(node.outputs[0]), rank - 1))


def _by_head(trace: Trace, node: ir.Node, index: int) -> Array:
    """The labels of an operand as [batch, heads, tokens, size]."""
    labels = trace.of(node.inputs[index])
    if labels.ndim == 4:
        return labels
    heads = node.attributes["q_num_heads" if index == 0 else "kv_num_heads"].as_int()
    return labels.reshape(*labels.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def _mask(trace: Trace, node: ir.Node, scores: Array) -> None:
    """A mask that differs between heads is cut with them."""
    value = node.inputs[3] if len(node.inputs) > 3 else None
    if value is not None:
        labels = trace.of(value)
        join(trace, node, scores, labels.reshape((1,) * (scores.ndim - labels.ndim) + labels.shape))
        trace.carry(node, 3)


RULES = {"Attention": attention}
