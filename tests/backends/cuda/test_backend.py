"""A network for a GPU: the artifact's files, its verification on the simulated GPU, and what is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from onnx import TensorProto, helper

from edgecompile.backends.backend import BuildRequest
from edgecompile.backends.cuda.backend import CudaBackend
from edgecompile.backends.cuda.files import describe_gpu
from edgecompile.backends.cuda.program import link_for_gpu
from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact, open_artifact, report_json
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import find_target, load_targets
from edgecompile.devices.open import open_device
from edgecompile.errors import InputError, InternalError, MissingToolError, UsageError
from edgecompile.lower.lower import usual_plans
from edgecompile.packaging.formats import find_format
from edgecompile.packaging.options import PackageOptions
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from edgecompile.toolchain.cuda import CudaCompiler, Nvcc, Nvrtc, find_cuda_compiler, find_nvrtc
from edgecompile.verify import verify_artifact
from tests.support.networks import save, small_cnn, stateful_lstm, wide_chain
from tests.support.quantized import quantize

GPUS = [target for target in load_targets().values() if target.backend == "cuda"]


def test_targets_cover_the_architectures() -> None:
    assert {describe_gpu(target).architecture for target in GPUS} == {"sm_86", "sm_87", "sm_89", "sm_90"}
    # The launcher loads the driver: no static programs.
    assert all(target.toolchain.dynamic and "gnu" in target.toolchain.zig_target for target in GPUS)


def test_an_artifact_has_a_library_its_sources_and_the_machine_code(network: Artifact) -> None:
    files = set(open_artifact(network.path).manifest.files)
    assert {"include/net.h", "src/net.c", "lib/libnet.a", "cuda/kernels.cu", "golden.npz"} <= files
    cubin, ptx = (network.path / "cuda" / f"net.{kind}" for kind in ("cubin", "ptx"))
    assert cubin.read_bytes().startswith(b"\x7fELF")
    assert b".target sm_87" in ptx.read_bytes()
    assert ptx.read_bytes().endswith(b"\0")


def test_the_report_has_the_figures_of_every_function(network: Artifact) -> None:
    report = report_json(network.path)
    names = {figures["name"] for figures in report["functions"]}
    assert len(names) >= report["kernels"]
    assert all(figures["spilled_bytes"] == 0 < figures["registers"] for figures in report["functions"])
    assert report["device_bytes"] > network.manifest.memory.weights + network.manifest.memory.arena


def test_verification_on_the_simulated_gpu_says_that_it_is_one(network: Artifact) -> None:
    done = verify_artifact(network, per_layer=True)
    assert (done.verification.level, done.verification.device) == ("simulated", "cuda-simulator")
    assert done.verification.max_error < 1e-5
    assert len(done.layers) == len(network.manifest.steps)
    assert all(layer.max_error < 1e-5 for layer in done.layers)


def test_c_source_computes_the_same(tmp_path: Path) -> None:
    model = save(stateful_lstm(), tmp_path / "net.onnx")
    options = CompileOptions(find_target("rtx-a2000"), emit="c")
    artifact = compile_model(str(model), options, tmp_path / "net.edge").artifact
    assert verify_artifact(artifact).verification.max_error < 1e-5
    assert not artifact.library.exists()
    sources = map(str, artifact.sources())
    flags = ["-std=c11", "-Wall", "-Werror", "-shared", "-fPIC", "-I", str(artifact.path / "include")]
    command = ["gcc", *flags, *sources, "-o", str(tmp_path / "all.so"), "-ldl"]
    subprocess.run(command, check=True, timeout=60)


def test_an_integer_network_computes_the_same_bits(tmp_path: Path) -> None:
    model = save(quantize(small_cnn()), tmp_path / "net.onnx")
    artifact = compile_model(
        str(model), CompileOptions(find_target("jetson-orin-nano")), tmp_path / "net.edge"
    ).artifact
    assert verify_artifact(artifact).verification.max_error == 0.0


def test_a_network_that_only_copies_has_no_kernels(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "net", [x], [y])
    opset = [helper.make_opsetid("", 20)]
    model = save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "net.onnx")
    options = CompileOptions(find_target("jetson-agx-orin"))
    artifact = compile_model(str(model), options, tmp_path / "net.edge").artifact
    assert report_json(artifact.path)["functions"] == []
    assert verify_artifact(artifact).verification.max_error == 0.0


def test_weights_of_16_bits_have_their_own_tolerance(tmp_path: Path) -> None:
    source = save(wide_chain(), tmp_path / "float.onnx")
    half = tmp_path / "net.onnx"
    write_result(quantize_source(str(source), QuantizeOptions(recipe="fp16")), half)
    options = CompileOptions(find_target("jetson-orin-nano"))
    artifact = compile_model(str(half), options, tmp_path / "net.edge").artifact
    assert artifact.manifest.tolerance == 1e-2
    assert verify_artifact(artifact).verification.max_error < 1e-2


def compiler_called(which: str) -> CudaCompiler:
    library, nvcc = find_nvrtc(), shutil.which("nvcc")
    if which == "nvcc" and nvcc is not None:
        return Nvcc(nvcc)
    if which == "NVRTC" and library is not None:
        return Nvrtc(library)
    pytest.skip(f"no {which} (pip install 'edgecompile[cuda]' brings NVRTC)")


@pytest.mark.parametrize("which", ["nvcc", "NVRTC"])
def test_each_compiler_makes_the_same_bytes_again(network: Artifact, which: str) -> None:
    compiler = compiler_called(which)
    source = (network.path / "cuda" / "kernels.cu").read_text()
    first, second = (compiler.compile(source, "sm_90") for _ in range(2))
    assert first == second
    assert first.cubin.startswith(b"\x7fELF")
    assert b".target sm_90" in first.ptx
    # Functions are declared in front, and then defined.
    names = re.findall(r"__global__ void (?:__launch_bounds__\(\d+\) )?(\w+)", source)
    assert {figures.name for figures in first.figures} == set(names) != set()
    assert re.fullmatch(rf"{which} \d+\.\d+", compiler.version)


@pytest.mark.parametrize("which", ["nvcc", "NVRTC"])
def test_code_that_does_not_compile_is_our_mistake(which: str) -> None:
    with pytest.raises(InternalError, match=r"EC1351.*error: identifier .nonsense. is undefined"):
        compiler_called(which).compile("__global__ void odd() { nonsense(); }", "sm_87")


def test_without_a_compiler_for_cuda_the_install_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecompile.toolchain.cuda.find_nvrtc", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match=r"EC5590.*pip install 'edgecompile\[cuda\]'") as caught:
        find_cuda_compiler()
    assert caught.value.exit_code == 5


def request(target: str, threads: int = 1) -> BuildRequest:
    return BuildRequest("net", find_target(target), "lib", usual_plans, threads=threads)


def test_threads_are_refused() -> None:
    model = Model.from_bytes(small_cnn().SerializeToString(), Provenance("net.onnx", "", 0))
    with pytest.raises(UsageError, match=r"EC2030.*leave --threads out"):
        CudaBackend().passes(model, request("h200", threads=2))


def test_a_fallback_is_refused() -> None:
    model = Model.from_bytes(small_cnn().SerializeToString(), Provenance("net.onnx", "", 0))
    with pytest.raises(UsageError, match=r"EC2035.*the GPU computes all of it.*leave --fallback out"):
        CudaBackend().passes(model, replace(request("h200"), fallback="cpu"))


def test_a_target_has_to_say_what_its_gpu_is() -> None:
    with pytest.raises(InputError, match=r"EC3020.*add a table \[cuda\]"):
        describe_gpu(replace(find_target("h200"), cuda=None))


def test_the_simulated_gpu_has_no_speed(network: Artifact) -> None:
    with pytest.raises(UsageError, match=r"EC2034.*cuda-simulator has no speed"):
        bench_artifact(network)


def test_packages_are_refused(network: Artifact) -> None:
    with pytest.raises(UsageError, match=r"EC2564.*an engine on a GPU"):
        find_format("cmake").check(network, False, PackageOptions())


def test_the_program_for_the_board_loads_its_driver(network: Artifact, tmp_path: Path) -> None:
    board = open_device("ssh://board", network.target)
    with link_for_gpu(network, board, tmp_path / "runner").open("rb") as stream:
        program = ELFFile(stream)
        assert program["e_machine"] == "EM_AARCH64"
        dynamic = program.get_section_by_name(".dynamic")
        assert isinstance(dynamic, DynamicSection)
        needed = [vars(tag)["needed"] for tag in dynamic.iter_tags("DT_NEEDED")]
    assert "libc.so.6" in needed
    assert not any("cuda" in name for name in needed)
