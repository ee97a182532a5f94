"""Decision trees: tables in flash, and a loop that walks them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels import math
from edgecompile.kernels.compute import Tensor, shape_of
from edgecompile.kernels.compute_softmax import softmax
from edgecompile.kernels.loops import Buffer, each, local, nest
from edgecompile.kernels.math import Expr, cast, const, select
from edgecompile.lower.planned import row_loops
from edgecompile.lower.registry import Kind, NodeView, op

_LESS_EQUAL, _LESS, _GREATER_EQUAL, _GREATER, _EQUAL, _NOT_EQUAL, _MEMBER = range(7)
_AVERAGE, _SUM, _MIN, _MAX = range(4)
_NONE, _SOFTMAX, _LOGISTIC = range(3)


@dataclass(frozen=True)
class _Forest:
    """Tables by node: feature, threshold, comparison, and the next node (a leaf as -1 - its number).

    A node that tests membership has `members` from `first` to `last` of the member table.
    """

    feature: Buffer
    threshold: Buffer
    mode: Buffer
    if_true: Buffer
    if_false: Buffer
    missing: Buffer
    first: Buffer
    last: Buffer
    members: Buffer
    roots: Buffer
    leaf_target: Buffer
    leaf_weight: Buffer


@op("TreeEnsemble", kind=Kind.OPAQUE, domain="ai.onnx.ml")
def tree_ensemble(n: NodeView) -> Tensor:
    """X [N, features] to scores [N, targets]: each tree adds the weight of the leaf that the row reaches."""
    tables, aggregate, transform = _tables(n), n.attr("aggregate_function", _SUM), n.attr("post_transform", 0)
    if transform not in (_NONE, _SOFTMAX, _LOGISTIC):
        raise n.unsupported(f"post_transform {transform} is not known", "use NONE, SOFTMAX or LOGISTIC")
    data, info = n.input(0), n.outputs[0]
    weights = [n.weight(table, name) for name, table in tables.items()]
    trees, modes = len(tables["roots"]), sorted(set(tables["mode"].tolist()))

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, result = reads[0], writes[0]
        forest = _Forest(**dict(zip(tables, reads[1:], strict=True)))
        limits = np.finfo(info.dtype)
        start = float({_MIN: limits.max, _MAX: limits.min}.get(aggregate, 0))
        at = local(1, "int32")
        with each((shape_of(data)[0],)) as (row,):
            with each(info.shape[1:]) as target:
                result[(row, *target)] = const(start, info.dtype)
            with each((trees,)) as (tree,):
                _walk(forest, source, row, forest.roots[tree], at, modes)
                leaf = -1 - at[0]
                place = (row, forest.leaf_target[leaf])
                result[place] = _combined(aggregate, result[place], forest.leaf_weight[leaf], trees)
            if transform == _LOGISTIC:
                with each(info.shape[1:]) as target:
                    result[(row, *target)] = math.sigmoid(result[(row, *target)])

    scores = nest("trees", [data, *weights], [(info.shape, info.dtype)], body)[0]
    return softmax(scores, 1, row_loops(n)) if transform == _SOFTMAX else scores


def _combined(aggregate: int, old: Expr, new: Expr, trees: int) -> Expr:
    if aggregate == _MIN:
        return math.minimum(old, new)
    if aggregate == _MAX:
        return math.maximum(old, new)
    return old + (new / const(trees, math.dtype_of(new)) if aggregate == _AVERAGE else new)


def _walk(forest: _Forest, source: Buffer, row: Expr, root: Expr, at: Buffer, modes: list[int]) -> None:
    """Follow the branches from `root` until `at` is a leaf."""
    found = local(1, "bool")
    at[0] = root
    with T.While(at[0] >= 0):
        value = source[row, forest.feature[at[0]]]
        found[0] = _compared(modes, forest.mode[at[0]], value, forest.threshold[at[0]])
        if _MEMBER in modes:
            with T.serial(forest.first[at[0]], forest.last[at[0]]) as i:
                found[0] = tirx.Or(found[0], tirx.EQ(value, forest.members[i]))
        missing = tirx.And(math.is_nan(value), cast(forest.missing[at[0]], "bool"))
        taken = tirx.Or(found[0], missing)
        at[0] = select(taken, forest.if_true[at[0]], forest.if_false[at[0]])


def _compared(modes: list[int], mode: Expr, value: Expr, threshold: Expr) -> Expr:
    """The comparison that `mode` says, of the ones that occur."""
    comparisons = {
        _LESS_EQUAL: value <= threshold,
        _LESS: value < threshold,
        _GREATER_EQUAL: value >= threshold,
        _GREATER: value > threshold,
        _EQUAL: tirx.EQ(value, threshold),
        _NOT_EQUAL: math.logical_not(tirx.EQ(value, threshold)),
        _MEMBER: const(False, "bool"),
    }
    result = comparisons[modes[0]]
    for other in modes[1:]:
        result = select(tirx.EQ(mode, const(other, "uint8")), comparisons[other], result)
    return result


def _tables(n: NodeView) -> dict[str, np.ndarray]:
    """The fields of _Forest as arrays."""

    def integers(name: str) -> np.ndarray:
        return np.array(n.attr(name), np.int32)

    modes = n.attr("nodes_modes").numpy().astype(np.uint8)
    missing = n.attr("nodes_missing_value_tracks_true") or (0,) * len(modes)
    first, last, members = _member_ranges(n, modes)
    return {
        "feature": integers("nodes_featureids"),
        "threshold": n.attr("nodes_splits").numpy(),
        "mode": modes,
        "if_true": _children(integers("nodes_truenodeids"), integers("nodes_trueleafs")),
        "if_false": _children(integers("nodes_falsenodeids"), integers("nodes_falseleafs")),
        "missing": np.array(missing, np.uint8),
        "first": first,
        "last": last,
        "members": members,
        "roots": integers("tree_roots"),
        "leaf_target": integers("leaf_targetids"),
        "leaf_weight": n.attr("leaf_weights").numpy(),
    }


def _children(numbers: np.ndarray, are_leaves: np.ndarray) -> np.ndarray:
    return np.where(are_leaves != 0, -1 - numbers, numbers).astype(np.int32)


def _member_ranges(n: NodeView, modes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each node's members are in the table; the sets of the member nodes are separated by NaN."""
    values = n.attr("membership_values")
    members = values.numpy() if values is not None else np.zeros(1, n.attr("nodes_splits").numpy().dtype)
    ends = np.flatnonzero(np.isnan(members))
    first, last = np.zeros(len(modes), np.int32), np.zeros(len(modes), np.int32)
    start = 0
    for node, end in zip(np.flatnonzero(modes == _MEMBER), ends, strict=False):
        first[node], last[node] = start, end
        start = int(end) + 1
    return first, last, members
