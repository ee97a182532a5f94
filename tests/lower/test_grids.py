"""How a kernel becomes grids: what is launched, with which arguments, and where arrays lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import te, tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.schedule import schedule_for_gpu
from edgecompile.kernels.loops import Buffer, local, nest
from edgecompile.lower.cuda import CudaSource, generate_cuda
from tests.support.gpu_networks import simulated_functions
from tests.support.operators import normal

Body = Callable[[list[Buffer], list[Buffer]], None]


def kernel(body: Body, extent: int = 100) -> tirx.PrimFunc:
    """The statements of `body` on (first, second) -> result, all of `extent` floats."""
    inputs = [te.placeholder((extent,), "float32", name) for name in ("first", "second")]
    (result,) = nest("test", inputs, [((extent,), "float32")], body)
    return te.create_prim_func([*inputs, result])


def generated(function: tirx.PrimFunc) -> CudaSource:
    return generate_cuda({"k": schedule_for_gpu(function, Gpu(8))}, "sm_87")


def reversed_sums(reads: list[Buffer], writes: list[Buffer]) -> None:
    """Two parallel loops: the second reads what other threads of the first wrote."""
    between = local(100, "float32")
    with T.parallel(0, 100) as i:
        between[i] = reads[0][i] * 2
    with T.parallel(0, 100) as i:
        writes[0][i] = between[99 - i] + reads[1][i]


def test_each_parallel_loop_is_a_launch_with_what_it_uses() -> None:
    source = generated(kernel(reversed_sums))
    first, second = source.kernels["k"].launches
    assert (first.name, second.name) == ("k_0", "k_1")
    assert (first.arguments, second.arguments) == ((0,), (1, 2))
    assert first.works_there
    assert second.works_there
    assert source.kernels["k"].workspace == 512
    for launch in (first, second):
        assert launch.blocks == (2, 1, 1)
        assert launch.threads == 64
        assert f"__global__ void __launch_bounds__(64) {launch.name}(" in source.text


def test_launches_see_what_those_before_them_wrote() -> None:
    data = [normal(100), normal(100, seed=1)]
    with simulated_functions({"k": kernel(reversed_sums)}) as (driver, source):
        *_, result = driver.run(source.kernels["k"], [*data, np.empty(100, np.float32)])
    np.testing.assert_array_equal(result, data[0][::-1] * 2 + data[1])


def test_other_statements_run_on_one_thread() -> None:
    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        total = local(1, "float32")
        total[0] = 0.0
        with T.serial(0, 100) as i:
            total[0] = total[0] + reads[0][i]
            writes[0][i] = total[0]

    source = generated(kernel(body))
    (launch,) = source.kernels["k"].launches
    assert (launch.name, launch.blocks, launch.threads) == ("k", (1, 1, 1), 1)
    assert launch.arguments == (0, 2)
    assert not launch.works_there
    assert source.kernels["k"].workspace == 0


def test_each_thread_has_a_large_array_of_its_own() -> None:
    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        with T.parallel(0, 100) as i:
            own = local(2000, "float32")
            with T.serial(0, 2000) as j:
                own[j] = reads[0][i]
            writes[0][i] = own[tirx.indexmod(i * 7, 2000)]

    kernels = generated(kernel(body)).kernels
    assert kernels["k"].workspace == 100 * -(-8000 // 256) * 256
    with simulated_functions({"k": kernel(body)}) as (driver, source):
        data = normal(100)
        *_, result = driver.run(source.kernels["k"], [data, data, np.empty(100, np.float32)])
    np.testing.assert_array_equal(result, data)
