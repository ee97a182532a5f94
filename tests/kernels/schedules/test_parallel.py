"""Which loops of a scheduled kernel are shared out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tvm import te, tirx
from tvm.script.ir_builder import tirx as T
from tvm_ffi.structural import structural_walk

from edgecompile.core.target import find_target
from edgecompile.kernels.loops import nest
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.kernels.schedules.parallel import share_out

ISA = find_target("cortex-a72").isa


def _parallel_extents(function: tirx.PrimFunc) -> list[int]:
    found: list[int] = []

    def visit(loop: tirx.For) -> None:
        if loop.kind == tirx.ForKind.PARALLEL:
            found.append(int(loop.extent))

    structural_walk(function.body, [(tirx.For, visit)])
    return found


def _shared(definition: Callable[..., Any], *shapes: tuple[int, ...], threads: int) -> list[int]:
    inputs = [te.placeholder(shape, name=f"x{i}") for i, shape in enumerate(shapes)]
    built = definition(*inputs)
    outputs = built if isinstance(built, list) else [built]
    function = schedule_default(te.create_prim_func([*inputs, *outputs]), ISA)
    return _parallel_extents(share_out(function, threads))


def _sums_of_pairs(a: Any, b: Any) -> Any:
    k = te.reduce_axis((0, int(a.shape[1])), name="k")
    shape = (a.shape[0], b.shape[1])
    return te.compute(shape, lambda i, j: te.sum(a[i, k] + b[k, j], axis=k), name="sums")


def _twice(a: Any) -> Any:
    return te.compute(a.shape, lambda *i: a(*i) * 2.0, name="twice")


def _total(a: Any) -> Any:
    k = te.reduce_axis((0, int(a.shape[0])), name="k")
    return te.compute((1,), lambda i: te.sum(a[k], axis=k), name="total")


def _softmax(a: Any) -> Any:
    k, m = te.reduce_axis((0, int(a.shape[1]))), te.reduce_axis((0, int(a.shape[1])))
    total = te.compute((a.shape[0],), lambda i: te.sum(te.exp(a[i, k]), axis=k), name="total")
    most = te.compute((a.shape[0],), lambda i: te.max(a[i, m], axis=m), name="most")
    return te.compute(a.shape, lambda i, j: te.exp(a[i, j] - most[i]) / total[i], name="softmax")


def _marked(a: Any) -> Any:
    def emit(reads: list[Any], writes: list[Any]) -> None:
        with T.parallel(0, 5) as i, T.serial(0, 3) as j:
            writes[0][i, j] = reads[0][i, j] + 1.0

    return nest("marked", [a], [((5, 3), "float32")], emit)


def test_outer_loops_of_a_reduction_become_one() -> None:
    (tasks,) = _shared(_sums_of_pairs, (64, 32), (32, 96), threads=4)
    assert tasks >= 8 * 4


def test_elementwise_kernels_are_shared_out() -> None:
    assert _shared(_twice, (32, 64), threads=2) == [512]


@pytest.mark.parametrize("definition", [_twice, _marked])
def test_one_thread_has_no_parallel_loops(definition: Callable[..., Any]) -> None:
    assert _shared(definition, (5, 3), threads=1) == []


def test_what_a_schedule_marked_stays() -> None:
    assert _shared(_marked, (5, 3), threads=2) == [5]


def test_a_reduction_loop_is_never_shared_out() -> None:
    assert _shared(_total, (4096,), threads=2) == []


def test_several_loop_nests_stay_serial() -> None:
    assert _shared(_softmax, (64, 64), threads=2) == []


def test_a_single_iteration_is_not_worth_sharing() -> None:
    assert _shared(_twice, (1, 4), threads=2) == []


def test_what_is_left_over_of_vectors_is_no_obstacle() -> None:
    """The loop is then in two parts, and a kernel of two nests stays serial; it must not be refused."""
    assert _shared(lambda x: te.compute(x.shape, lambda *i: tirx.abs(x(*i))), (3, 37), threads=2) == []
