"""The simulated GPU: what CUDA C means, and mistakes that a CPU would not notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.cuda.simulator.build import build_simulator, simulation_toolchain
from edgecompile.errors import InternalError, MissingToolError
from edgecompile.lower.grids import GpuKernel, Launch
from tests.support.gpu import SimulatedDriver

PARAMETERS = "(float* __restrict__ p0, float* __restrict__ p1)"
HEAD = 'extern "C" __global__ void __launch_bounds__(64) '
ROWS = {
    # The threads of a block see what the others have written.
    "reverse": "s[threadIdx.x] = p0[at]; __syncthreads(); p1[at] = s[63 - threadIdx.x];",
    "forgets_to_wait": "s[threadIdx.x] = p0[at]; p1[at] = s[63 - threadIdx.x];",
    "waits_apart": "if (threadIdx.x < 40) __syncthreads(); p1[at] = p0[at];",
    "waits_elsewhere": "if (threadIdx.x < 32) {\n__syncthreads(); } else {\n__syncthreads(); } p1[at] = 1;",
    "depends_on_order": "p1[0] = blockIdx.x; p1[1] = threadIdx.x;",
    "sum_of_warp": (
        "float v = p0[at]; for (int by = 16; by > 0; by >>= 1) v += __shfl_xor_sync(0xffffffffu, v, by, 32);"
        "p1[at] = v;"
    ),
    "from_below": "p1[at] = __shfl_up_sync(0xffffffffu, p0[at], 1, 32);",
    "from_above": "p1[at] = __shfl_down_sync(0xffffffffu, p0[at], 3);",
    "from_lane_5": "p1[at] = __shfl_sync(0xffffffffu, p0[at], 5);",
    "half_of_a_warp_waits": (
        "float v = p0[at]; if (threadIdx.x % 32 < 16) v += __shfl_xor_sync(0x0000ffffu, v, 1); p1[at] = v;"
    ),
    "products_of_bytes": "p1[at] = __dp4a(0x7f80ff02, 0x02017f03, (int)p0[at]);",
    "halves": "p1[at] = half(p0[at]);",
    # Every lane makes its words of both matrices by the layout.
    "matrices_of_halves": (
        "int g = threadIdx.x / 4, t = threadIdx.x % 4; unsigned a[4], b[2]; float c[4] = {1, 1, 1, 1};"
        "for (int i = 0; i < 4; ++i) {"
        "  int row = g + i % 2 * 8, k = (t + i / 2 * 4) * 2;"
        "  a[i] = edgecompile_halves(row - k, row + 2 * k + 2);"
        "  if (i < 2) b[i] = edgecompile_halves((t + i * 4) * 2 * g, ((t + i * 4) * 2 + 1) * g);"
        "} edgecompile_mma_f16(c, a, b);"
        "for (int i = 0; i < 4; ++i) p1[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = c[i];"
    ),
    "matrices_of_bytes": (
        "int g = threadIdx.x / 4, t = threadIdx.x % 4; unsigned a[4], b[2]; int c[4] = {-7, -7, -7, -7};"
        "for (int i = 0; i < 4; ++i) {"
        "  int row = g + i % 2 * 8, word = t + i / 2 * 4; a[i] = 0; b[i % 2] = 0;"
        "  for (int n = 0; n < 4; ++n) a[i] |= (unsigned)(unsigned char)(row - word * 4 - n) << 8 * n;"
        "} for (int i = 0; i < 2; ++i) for (int n = 0; n < 4; ++n)"
        "  b[i] |= (unsigned)(unsigned char)(3 * ((t + i * 4) * 4 + n) - g) << 8 * n;"
        "edgecompile_mma_s8(c, a, b);"
        "for (int i = 0; i < 4; ++i) p1[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = c[i];"
    ),
    "vectors": (
        "if (at % 4 == 0) { float4 v = *(float4*)(p0 + at); v.y = max(v.x, v.z); *(float4*)(p1 + at) = v; }"
    ),
}
X = np.random.default_rng(5).uniform(-10, 10, 128).astype(np.float32)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedDriver]:
    body = "__shared__ alignas(64) float s[64]; int at = blockIdx.x * 64 + threadIdx.x;"
    kernels = [f"{HEAD}{name}{PARAMETERS} {{ {body} {text} }}" for name, text in ROWS.items()]
    source = "\n".join(kernels)
    library = build_simulator(source, "sm_87", tmp_path_factory.mktemp("simulator"))
    driver = SimulatedDriver(library, source, "sm_87")
    yield driver
    driver.close()


def run(driver: SimulatedDriver, name: str, threads: int = 64, blocks: int = 2) -> np.ndarray:
    kernel = GpuKernel((Launch(name, (blocks, 1, 1), threads, (0, 1)),), 0)
    return driver.run(kernel, [X, np.zeros_like(X)])[1]


def test_threads_of_a_block_wait_for_each_other(driver: SimulatedDriver) -> None:
    np.testing.assert_array_equal(run(driver, "reverse"), X.reshape(2, 64)[:, ::-1].ravel())


def test_what_is_read_before_it_is_written_is_garbage(driver: SimulatedDriver) -> None:
    assert np.max(run(driver, "forgets_to_wait")) > 1e38


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("waits_apart", "for threads that have ended"),
        ("waits_elsewhere", "for threads that wait elsewhere"),
    ],
)
def test_waiting_forever_is_found(
    driver: SimulatedDriver, name: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match="cuStreamSynchronize returned 719"):
        run(driver, name)
    said = capfd.readouterr().err
    assert f"of {name} waits at line" in said
    assert message in said


def test_blocks_and_threads_come_in_either_order(driver: SimulatedDriver) -> None:
    last = {tuple(run(driver, "depends_on_order")[:2]) for _ in range(2)}
    assert last == {(0.0, 0.0), (1.0, 63.0)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sum_of_warp", X.reshape(4, 32).sum(1).repeat(32)),
        ("from_below", np.hstack([X.reshape(4, 32)[:, :1], X.reshape(4, 32)[:, :-1]]).ravel()),
        ("from_above", np.hstack([X.reshape(4, 32)[:, 3:], X.reshape(4, 32)[:, -3:]]).ravel()),
        ("from_lane_5", X.reshape(4, 32)[:, 5].repeat(32)),
        ("products_of_bytes", X.astype(np.int32) + (127 * 2 - 128 * 1 - 1 * 127 + 2 * 3)),
        ("halves", X.astype(np.float16).astype(np.float32)),
    ],
)
def test_language(driver: SimulatedDriver, name: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(run(driver, name), expected, rtol=1e-5, atol=1e-5)


def test_lanes_that_are_not_waited_for_go_on(driver: SimulatedDriver) -> None:
    lanes = X.reshape(4, 16, 2, order="C").reshape(4, 32).copy()
    pairs = lanes[:, :16].reshape(4, 8, 2)
    lanes[:, :16] = (pairs + pairs[:, :, ::-1]).reshape(4, 16)
    np.testing.assert_allclose(run(driver, "half_of_a_warp_waits"), lanes.ravel(), rtol=1e-6)


def test_matrices_of_halves(driver: SimulatedDriver) -> None:
    row, k, column = np.arange(16)[:, None], np.arange(16), np.arange(8)
    a = np.where(k % 2 == 0, row - k, row + 2 * (k - 1) + 2)
    found = run(driver, "matrices_of_halves", threads=32, blocks=1)
    np.testing.assert_array_equal(found.reshape(16, 8), 1 + a @ (k[:, None] * column))


def test_matrices_of_bytes(driver: SimulatedDriver) -> None:
    row, k, column = np.arange(16)[:, None], np.arange(32), np.arange(8)
    found = run(driver, "matrices_of_bytes", threads=32, blocks=1)
    np.testing.assert_array_equal(found.reshape(16, 8), -7 + (row - k) @ (3 * k[:, None] - column))


def test_vectors_are_four_numbers(driver: SimulatedDriver) -> None:
    expected = X.reshape(-1, 4).copy()
    expected[:, 1] = np.maximum(expected[:, 0], expected[:, 2])
    np.testing.assert_array_equal(run(driver, "vectors").reshape(-1, 4), expected)


def test_more_threads_than_the_kernel_was_compiled_for_are_refused(driver: SimulatedDriver) -> None:
    with pytest.raises(AssertionError, match="cuLaunchKernel returned 1"):
        run(driver, "halves", threads=128)


def test_a_parameter_that_is_no_pointer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="EC1350"):
        build_simulator(f"{HEAD}odd(int n) {{}}", "sm_87", tmp_path)


def test_a_kernel_in_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="EC1350"):
        build_simulator("__global__ void odd(float* p0) {}", "sm_87", tmp_path)


def test_without_a_compiler_of_cpp_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("edgecompile.toolchain.find.find_zig", lambda: None)
    with pytest.raises(MissingToolError, match=r"EC5591.*apt install g\+\+"):
        simulation_toolchain()
