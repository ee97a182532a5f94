"""Remove Transposes, by moving them through other operators until they meet their inverse.

before: Transpose(0,2,3,1) -> Relu -> Transpose(0,3,1,2)          after: Relu
before: Concat(Transpose(a), Transpose(b), axis=3)                after: Transpose(Concat(a, b, axis=1))
before: Transpose -> Transpose, Transpose -> Reshape -> Transpose   after: Transpose, or Reshape alone
before: Transpose that moves axes of size 1 only                  after: Reshape

Never moves more elements than before.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.layout.apply import apply
from edgecompile.passes.layout.choose import choose, inverse
from edgecompile.passes.movement import emit, permutation_last, permutation_of, trace
from edgecompile.passes.rewriting import finish, forward, sweep

_MAX_ROUNDS = 8


class CancelTransposes:
    """As few elements moved by Transposes as moving them around can reach."""

    name = "cancel_transposes"
    tolerance = 1e-5  # reductions may sum in another order

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        before = _count(graph)
        changes = 0
        for _ in range(_MAX_ROUNDS):
            moved = sum(_move(graph, perm) for perm in _permutations(graph)) + _join(graph)
            changes += moved
            if not moved:
                break
        removed = before - _count(graph)
        return finish(model, changes, f"changes that save {removed} Transpose nodes")


def _permutations(graph: ir.Graph) -> list[tuple[int, ...]]:
    """The permutations of all Transposes and their inverses, in order of appearance."""
    found = [permutation_of(node) for node in graph if node.op_type == "Transpose" and not node.domain]
    return list(dict.fromkeys(perm for own in found for perm in (inverse(own), own)))


def _move(graph: ir.Graph, perm: tuple[int, ...]) -> int:
    choice = choose(graph, perm)
    if choice is None:
        return 0
    apply(graph, choice)
    for node in reversed(list(graph)):
        if node.graph is graph:
            sweep(node.outputs[0])
    return 1


def _join(graph: ir.Graph) -> int:
    """Replace chains of Reshape and Transpose by at most one Transpose, where that leaves fewer Transposes.

    A Transpose in front of a Reshape is put behind it if it can be: there it may meet its inverse.
    """
    count = 0
    for node in reversed(list(graph)):
        if node.graph is not graph or node.domain or node.op_type not in ("Transpose", "Reshape"):
            continue
        root, moved, chain = trace(node.outputs[0])
        needed = 0 if moved.is_reshape else 1
        last = node.op_type == "Transpose" or not needed or permutation_last(moved) is None
        transposes = sum(step.op_type == "Transpose" for step in _removable(chain))
        if transposes > needed or (transposes == 1 and not last):
            forward(node, emit(node, root, moved))
            count += 1
    return count


def _removable(chain: list[ir.Node]) -> list[ir.Node]:
    """The nodes of a chain, last first, that nobody needs when the last one is replaced."""
    removable = chain[:1]
    for step in chain[1:]:
        value = step.outputs[0]
        if value.is_graph_output() or len(value.uses()) > 1:
            break
        removable.append(step)
    return removable


def _count(graph: ir.Graph) -> int:
    return sum(node.op_type == "Transpose" and not node.domain for node in graph)
