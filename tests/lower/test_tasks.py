"""Kernels with a range of tasks: any partition of the range computes the same."""

from __future__ import annotations

import ctypes
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm import te, tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import find_target
from edgecompile.kernels.loops import nest
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.kernels.schedules.parallel import share_out
from edgecompile.lower.codegen import kernels_to_c, kernels_to_object
from edgecompile.lower.tasks import estimate_work
from edgecompile.lower.tir import Interface

HOST = find_target("host")
ROWS, DEPTH, COLUMNS = 12, 700, 40
_folder = TemporaryDirectory(prefix="edgecompile-tests-")


def _row_sums(tensors: list[Any], parallel: tuple[bool, ...] = (True,)) -> list[Any]:
    """For each of `parallel` a loop nest over all rows, that adds up row * (column + 1) in a large buffer."""

    def emit(reads: list[Any], writes: list[Any]) -> None:
        for index, shared in enumerate(parallel):
            with (T.parallel if shared else T.serial)(0, ROWS) as i:
                products = T.buffer_proxy(T.alloc_buffer((DEPTH,), "float32"))
                with T.serial(0, DEPTH) as k:
                    products[k] = reads[0][i, k] * T.Cast("float32", k + 1)
                writes[index][i] = T.float32(0)
                with T.serial(0, DEPTH) as k:
                    writes[index][i] = writes[index][i] + products[k]

    return nest("sums", tensors, [((ROWS,), "float32") for _ in parallel], emit)


def _function(*parallel: bool) -> Any:
    x = te.placeholder((ROWS, DEPTH), name="x")
    return te.create_prim_func([x, *_row_sums([x], parallel)])


@cache
def _library(emit: str) -> tuple[ctypes.CDLL, dict[str, Interface]]:
    """Two kernels with tasks: `sums` with a workspace, and a matrix product by the default schedule."""
    a, b = te.placeholder((ROWS, DEPTH), name="a"), te.placeholder((DEPTH, COLUMNS), name="b")
    k = te.reduce_axis((0, DEPTH), name="k")
    c = te.compute((ROWS, COLUMNS), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    product = share_out(schedule_default(te.create_prim_func([a, b, c]), HOST.isa), 4)
    functions = {"sums": _function(True), "product": product}
    folder = Path(_folder.name)
    if emit == "c":
        interfaces = kernels_to_c(functions, folder / "kernels.c")
        source = folder / "kernels.c"
    else:
        source = folder / "kernels.o"
        interfaces = kernels_to_object(functions, HOST.isa, source)
    output = folder / f"{emit}.so"
    subprocess.run(["gcc", "-O1", "-fPIC", "-shared", "-o", output, source, "-lm"], check=True)
    return ctypes.CDLL(str(output)), interfaces


@pytest.mark.parametrize("emit", ["lib", "c"])
@given(data=st.data())
def test_ranges_in_any_order_make_the_whole(emit: str, data: st.DataObject) -> None:
    library, interfaces = _library(emit)
    random = np.random.default_rng(3)
    a = random.standard_normal((ROWS, DEPTH)).astype(np.float32)
    b = random.standard_normal((DEPTH, COLUMNS)).astype(np.float32)
    whole = {"sums": (a,), "product": (a, b)}
    wanted = {"sums": (a * np.arange(1, DEPTH + 1)).sum(1), "product": a.astype(np.float64) @ b}
    symbol = data.draw(st.sampled_from(sorted(whole)))
    tasks, nbytes = interfaces[symbol].tasks, interfaces[symbol].workspace
    cuts = data.draw(st.lists(st.integers(0, tasks), max_size=5).map(sorted))
    bounds = [0, *cuts, tasks]
    ranges = data.draw(st.permutations(list(pairwise(bounds))))
    result = np.full(wanted[symbol].shape, np.nan, np.float32)
    for begin, end in ranges:
        workspace = np.full(nbytes + 64, 0xA5, np.uint8)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*whole[symbol], result)]
        more = [ctypes.c_void_p(workspace.ctypes.data)] if nbytes else []
        assert getattr(library, symbol)(*pointers, begin, end, *more) == 0
        assert (workspace[nbytes:] == 0xA5).all()
    np.testing.assert_allclose(result, wanted[symbol], rtol=1e-3, atol=1e-3)


def _interface(tmp_path: Path, *parallel: bool) -> Interface:
    return kernels_to_c({"k": _function(*parallel)}, tmp_path / "k.c")["k"]


def test_the_interface_says_what_a_caller_needs(tmp_path: Path) -> None:
    interface = _interface(tmp_path, True)
    assert interface.workspace == 4 * DEPTH
    assert interface.tasks == ROWS
    assert interface.work == pytest.approx(ROWS * (2 * DEPTH + 1), rel=0.01)  # one for each store
    assert "int32_t begin, int32_t end, uint8_t* workspace);" in (tmp_path / "k.c").read_text()


@pytest.mark.parametrize("parallel", [(False,), (True, True), (False, True)])
def test_parallel_loops_that_are_not_the_whole_kernel_are_serial(
    tmp_path: Path, parallel: tuple[bool, ...]
) -> None:
    interface = _interface(tmp_path, *parallel)
    assert (interface.tasks, interface.work) == (0, 0)
    assert "begin" not in (tmp_path / "k.c").read_text()
    assert "TVM" not in (tmp_path / "k.c").read_text()


def test_work_counts_loops_of_variable_extent_at_their_longest() -> None:
    data = tirx.decl_buffer((64,), "float32", "data")
    i, j = tirx.Var("i", "int32"), tirx.Var("j", "int32")
    store = tirx.BufferStore(data, tirx.const(0.0, "float32"), [j])
    extent = tirx.min(tirx.const(16, "int32"), 60 - i * 16)
    rows = tirx.Var("rows", "int32")
    loop = tirx.For(j, tirx.const(0, "int32"), rows, tirx.ForKind.SERIAL, store)
    inner = tirx.SeqStmt([tirx.Bind(rows, extent), loop])
    outer = tirx.For(i, tirx.const(0, "int32"), tirx.const(4, "int32"), tirx.ForKind.SERIAL, inner)
    unknown = tirx.For(j, tirx.const(0, "int32"), i, tirx.ForKind.SERIAL, store)
    assert estimate_work(outer) == 4 * 16
    assert estimate_work(unknown) == 1
