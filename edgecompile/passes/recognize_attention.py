"""Find scaled dot-product attention.

before: MatMul(Softmax(MatMul(q, Transpose(k)) * scale + mask, axis=-1), v)
after:  Attention(q, k, v, mask, scale)

The scale may stand as Mul or Div on q, on k, on the scores, or on several; the mask may be missing. Inputs
of other ranks than 4 are seen as [1, heads, length, size]. A mask that is broadcast along one of the last two
axes of the scores is expanded first: runtimes disagree on that kind of broadcast. Definition: ONNX operator
Attention (opset 23); A. Vaswani et al., "Attention Is All You Need", 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.matching import is_enclosed, produced_by, scalar
from edgecompile.passes.movement import emit, insert_reshape, trace
from edgecompile.passes.rewrite_reshape import become_reshape
from edgecompile.passes.rewriting import become, graph_of, insert, opset_of, rewrite_nodes

_OPSET = 23


class RecognizeAttention:
    """Replace decomposed attention by the operator."""

    name = "recognize_attention"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "attention recognised", _attention)


@dataclass(frozen=True)
class _Scores:
    """softmax(scale * query @ key_transposed + mask); all of one rank, without broadcasting."""

    query: ir.Value
    key_transposed: ir.Value
    mask: ir.Value | None
    scale: float


def _attention(node: ir.Node) -> bool:
    softmax = produced_by(node.inputs[0], "Softmax") if node.op_type == "MatMul" and not node.domain else None
    if softmax is None or opset_of(node) < _OPSET:
        return False
    weights, value = softmax.outputs[0], node.inputs[1]
    scores = _match_scores(softmax)
    if scores is None or value is None or not _fits(scores, value, static_shape(weights)):
        return False
    leaves = [scores.query, scores.key_transposed, value, *([scores.mask] if scores.mask else [])]
    root, movement, _ = trace(scores.key_transposed)
    rank = len(movement.shape)
    key_movement = movement.transpose((*range(rank - 2), rank - 1, rank - 2))
    if movement.is_reshape or key_movement is None or not is_enclosed(node.outputs[0], leaves):
        return False
    _replace(node, scores, emit(node, root, key_movement), value)
    return True


def _replace(node: ir.Node, scores: _Scores, key: ir.Value, value: ir.Value) -> None:
    operands: list[ir.Value | None] = [_with_heads(node, operand) for operand in (scores.query, key, value)]
    shape = static_shape(node.outputs[0])
    assert shape is not None
    if scores.mask:
        operands.append(_full_mask(node, scores.mask, (shape[-2], _length(value))))
    if len(shape) == 4:
        become(node, "Attention", operands, {"scale": scores.scale})
        return
    heads = (1, math.prod(shape[:-2]), *shape[-2:])
    become_reshape(node, insert(node, "Attention", operands, {"scale": scores.scale}, shape=heads))


def _with_heads(node: ir.Node, value: ir.Value) -> ir.Value:
    shape = static_shape(value)
    assert shape is not None
    return value if len(shape) == 4 else insert_reshape(node, value, (1, math.prod(shape[:-2]), *shape[-2:]))


def _length(value: ir.Value) -> int:
    shape = static_shape(value)
    assert shape is not None
    return shape[-2]


def _full_mask(node: ir.Node, mask: ir.Value, scores: tuple[int, int]) -> ir.Value:
    """`mask` with the last two axes of the scores; one Expand serves all attentions that use the mask."""
    shape = static_shape(mask)
    assert shape is not None
    full = (*shape[:-2], *scores)
    if shape == full:
        return mask
    array = constant_of(mask)
    if array is not None:
        return add_initializer(graph_of(node), f"{mask.name}/full", np.broadcast_to(array, full), mask)
    users = [user for user in graph_of(node) if mask in user.inputs]
    if users[0].op_type == "Expand" and static_shape(users[0].outputs[0]) == full:
        return users[0].outputs[0]
    target = add_initializer(graph_of(node), f"{mask.name}/full_shape", np.array(full, np.int64))
    return insert(users[0], "Expand", [mask, target], shape=full)


def _match_scores(softmax: ir.Node) -> _Scores | None:
    shape, axis = static_shape(softmax.inputs[0]), softmax.attributes.get_int("axis", -1)
    if shape is None or axis not in (-1, len(shape) - 1):
        return None
    source = softmax.inputs[0]
    add = produced_by(source, "Add")
    for scores, mask in [*([add.inputs, add.inputs[::-1]] if add else []), (source, None)]:
        inner, scale = _peel_scale(scores)
        product = produced_by(inner, "MatMul")
        if product is None or static_shape(inner) != shape:
            continue
        query, query_scale = _peel_scale(product.inputs[0])
        key, key_scale = _peel_scale(product.inputs[1])
        return _Scores(query, key, mask, scale * query_scale * key_scale)
    return None


def _peel_scale(value: ir.Value | None) -> tuple[ir.Value, float]:
    """(v, factor) with `value` = v * factor, for as many scalar factors as stand there."""
    assert value is not None
    factor = 1.0
    while node := produced_by(value, "Mul", "Div"):
        first, second = node.inputs
        if scalar(first) is not None and node.op_type == "Mul":
            first, second = second, first
        number = scalar(second)
        if number is None or first is None or number == 0 or static_shape(first) != static_shape(value):
            break
        factor = factor * number if node.op_type == "Mul" else factor / number
        value = first
    return value, factor


def _fits(scores: _Scores, value: ir.Value, shape: tuple[int, ...] | None) -> bool:
    """Whether shapes are those of Attention: no broadcast of q, k, v; a mask that fits the scores."""
    query, key, values = static_shape(scores.query), static_shape(scores.key_transposed), static_shape(value)
    if query is None or key is None or values is None or shape is None or not 2 <= len(shape) <= 4:
        return False
    if not query[:-2] == key[:-2] == values[:-2] == shape[:-2] or scores.scale <= 0:
        return False
    return scores.mask is None or _mask_fits(static_shape(scores.mask), shape)


def _mask_fits(mask: tuple[int, ...] | None, scores: tuple[int, ...]) -> bool:
    if mask is None or len(mask) > len(scores):
        return False
    return np.broadcast_shapes(mask, scores) == scores
