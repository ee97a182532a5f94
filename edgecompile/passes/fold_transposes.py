"""Fold a Transpose in front of a product with constant weights into the weights.

before: x [N,H,W,C] -> Transpose(0,3,1,2) -> Reshape [N, C*H*W] -> Gemm(w [C*H*W, K])
after:  x [N,H,W,C] -> Reshape [N, H*W*C] -> Gemm(w with permuted rows)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of
from edgecompile.passes.movement import Movement, insert_reshape, trace
from edgecompile.passes.rewriting import become, graph_of, rewrite_nodes


class FoldTransposes:
    """Permute the rows of Gemm weights instead of the data."""

    name = "fold_transposes"
    tolerance = 1e-5  # products are summed in another order

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "transposes folded into weights", _fold)


def _fold(node: ir.Node) -> bool:
    if node.op_type != "Gemm" or node.domain:
        return False
    data, value = node.inputs[0], node.inputs[1]
    weights = constant_of(value)
    transposed = node.attributes.get_int("transA", 0) or node.attributes.get_int("transB", 0)
    if data is None or value is None or weights is None or transposed or len(value.uses()) > 1:
        return False
    root, moved, _ = trace(data)
    order = None if moved.is_reshape else _column_order(moved)
    if order is None:
        return False
    rows = add_initializer(graph_of(node), f"{value.name}/transposed", weights[order], value)
    inputs = [insert_reshape(node, root, moved.shape), rows, *node.inputs[2:]]
    become(node, "Gemm", inputs, dict(node.attributes))
    return True


def _column_order(moved: Movement) -> np.ndarray | None:
    """For each column of the root, seen as a matrix of the result's shape, its column in the result.

    None when the movement mixes rows and columns.
    """
    split = moved.split_result()
    if split is None or len(moved.shape) != 2:
        return None
    fine, (rows, columns) = split
    if rows != list(range(len(rows))):
        return None
    result = np.arange(moved.shape[1]).reshape([fine.atoms[atom] for atom in columns] or [1])
    return result.transpose(np.argsort(columns)).ravel() if columns else None
