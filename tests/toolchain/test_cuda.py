"""What ptxas says of kernels, and which compiler for CUDA is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.toolchain.cuda import FunctionFigures, Nvcc, Nvrtc, find_cuda_compiler, parse_figures

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'net_k1_gemm' for 'sm_87'
ptxas info    : Function properties for net_k1_gemm
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 5376 bytes smem, 384 bytes cmem[0]
ptxas info    : Compile time = 12.000 ms
ptxas info    : Compiling entry function 'net_k0_lstm' for 'sm_87'
ptxas info    : Function properties for net_k0_lstm
    1024 bytes stack frame, 72 bytes spill stores, 80 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 1024 bytes cumulative stack size, 384 bytes cmem[0]
"""


def test_figures_are_those_of_each_kernel_by_name() -> None:
    assert parse_figures(LOG) == (
        FunctionFigures("net_k0_lstm", 255, 72, 1024, 0),
        FunctionFigures("net_k1_gemm", 40, 0, 0, 5376),
    )
    assert parse_figures("") == ()


def test_an_installed_toolkit_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "libnvrtc.so.13"
    monkeypatch.setattr("edgecompile.toolchain.cuda.find_nvrtc", lambda: library)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(find_cuda_compiler(), Nvrtc)
    (tmp_path / "nvcc").touch(mode=0o700)
    assert isinstance(find_cuda_compiler(), Nvcc)
