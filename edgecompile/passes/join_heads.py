"""Attention reads and writes heads where they lie, side by side in the last axis.

before: Attention(Transpose(Reshape(q)), Transpose(Reshape(k)), Transpose(Reshape(v))) -> Transpose
after:  Attention(q, k, v) on [batch, length, heads * size]

Each Transpose is a kernel of its own, which a GPU has to launch for little work. Definition: ONNX operator
Attention (opset 23) with inputs of rank 3.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.matching import only_reader
from edgecompile.passes.movement import Movement, Shape, insert_reshape, permutation_of, trace
from edgecompile.passes.rewrite_reshape import become_reshape
from edgecompile.passes.rewriting import become, rewrite_nodes

_SWAP = (0, 2, 1, 3)


class JoinHeads:
    """Take transpositions of heads into attention."""

    name = "join_heads"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "attention on joined heads", _join)


def _join(node: ir.Node) -> bool:
    if node.op_type != "Attention" or node.domain or any(node.inputs[4:]) or len(node.outputs) > 1:
        return False
    result, after = node.outputs[0], only_reader(node.outputs[0])
    found = [_joined(value) for value in node.inputs[:3]]
    roots = [one for one in found if one is not None]
    if len(roots) < 3 or after is None or after.op_type != "Transpose" or permutation_of(after) != _SWAP:
        return False
    batch, heads, length, size = static_shape(result) or ()
    key_heads = (static_shape(node.inputs[1]) or ())[1]
    kept = {name: attribute.value for name, attribute in node.attributes.items()}
    operands = [*(insert_reshape(node, root, shape) for root, shape in roots), *node.inputs[3:]]
    become(node, "Attention", operands, kept | {"q_num_heads": heads, "kv_num_heads": key_heads})
    result.shape = ir.Shape((batch, length, heads * size))
    become_reshape(after, result)
    return True


def _joined(value: ir.Value | None) -> tuple[ir.Value, Shape] | None:
    """What `value` [batch, heads, length, size] is made of by taking heads apart, and how to see that.

    None where it is made otherwise.
    """
    shape = static_shape(value)
    if value is None or shape is None or len(shape) != 4 or 0 in shape:
        return None
    batch, heads, length, size = shape
    root, movement, _ = trace(value)
    apart = Movement.of((batch, length, heads, size)).transpose(_SWAP)
    return (root, (batch, length, heads * size)) if movement == apart else None
