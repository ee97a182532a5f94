"""Write rearrangements of channels and pixels as what they are, so that they merge with other Transposes.

before: DepthToSpace(x, blocksize=2), SpaceToDepth(x, blocksize=2)
after:  Reshape(Transpose(Reshape(x)))

Definitions: ONNX operators DepthToSpace and SpaceToDepth, modes DCR and CRD.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.movement import insert_reshape
from edgecompile.passes.rewrite_reshape import become_reshape
from edgecompile.passes.rewriting import insert, rewrite_nodes


class DecomposeDepthToSpace:
    """Replace DepthToSpace and SpaceToDepth by Reshape and Transpose."""

    name = "decompose_depth_to_space"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "rearrangements of pixels written out", _decompose)


def _decompose(node: ir.Node) -> bool:
    if node.op_type not in ("DepthToSpace", "SpaceToDepth") or node.domain:
        return False
    source, shape = node.inputs[0], static_shape(node.inputs[0])
    if source is None or shape is None or 0 in shape:
        return False
    split, perm = _steps(node, shape)
    moved = insert_reshape(node, source, split)
    result = insert(node, "Transpose", [moved], {"perm": perm}, shape=[split[axis] for axis in perm])
    become_reshape(node, result)
    return True


def _steps(node: ir.Node, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of rank 6 to see the input as, and the permutation of its axes."""
    batch, channels, height, width = shape
    block = node.attributes.get_int("blocksize", 1)
    depth_first = node.attributes.get_string("mode", "DCR") == "DCR"
    if node.op_type == "SpaceToDepth":
        split = (batch, channels, height // block, block, width // block, block)
        return split, (0, 3, 5, 1, 2, 4) if depth_first else (0, 1, 3, 5, 2, 4)
    depth = channels // block**2
    if depth_first:
        return (batch, block, block, depth, height, width), (0, 3, 4, 1, 5, 2)
    return (batch, depth, block, block, height, width), (0, 1, 4, 2, 5, 3)
