"""Networks on an NVIDIA GPU: results, all ways of running them, tuning, memory checks, too old a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.cuda.program import link_for_gpu
from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.device import RunRequest
from edgecompile.core.samples import pack
from edgecompile.core.target import Cuda, Target, find_target
from edgecompile.devices.gpu import CudaDevice, gpu_architecture
from edgecompile.errors import DeviceError, EdgeCompileError
from edgecompile.execute import load_golden
from edgecompile.tuning.session import Budget
from edgecompile.tuning.tune import TuneOptions, tune
from edgecompile.verify import verify_artifact
from tests.support.networks import save, small_cnn, stateful_lstm, wide_chain
from tests.support.quantized import quantize
from tests.zoo.zoo import MODELS, SHAPES, model_path, needs_zoo

MAPPED, NO_GRAPH = 1, 2


def _architecture() -> str:
    """That of this machine's GPU, "" without one."""
    try:
        return gpu_architecture()
    except EdgeCompileError:
        return ""


ARCHITECTURE = _architecture()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not ARCHITECTURE, reason="no NVIDIA GPU or no driver (libcuda.so.1)"),
]
NETWORKS: dict[str, Callable[[], Any]] = {
    "cnn": small_cnn,
    "lstm": stateful_lstm,
    "chain": wide_chain,
    "int8": lambda: quantize(small_cnn()),
}


def local_target(architecture: str = ARCHITECTURE) -> Target:
    """This machine's GPU with the multiprocessors of a middling one."""
    return replace(find_target("rtx-a2000"), cuda=Cuda(architecture, 26))


def compiled(source: Path, folder: Path, target: Target, shapes: dict[str, tuple[int, ...]]) -> Artifact:
    return compile_model(str(source), CompileOptions(target, shapes), folder / "net.edge").artifact


@pytest.fixture(scope="module", params=list(NETWORKS))
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp(request.param)
    return compiled(save(NETWORKS[request.param](), folder / "net.onnx"), folder, local_target(), {})


def test_the_gpu_computes_the_network(network: Artifact) -> None:
    done = verify_artifact(network, "cuda", per_layer=True)
    assert done.verification.level == "executed-on-device"


@pytest.mark.parametrize("options", [0, MAPPED, NO_GRAPH, MAPPED | NO_GRAPH])
def test_every_way_of_running_gives_the_same(network: Artifact, options: int, tmp_path: Path) -> None:
    inputs, outputs = load_golden(network)
    device = CudaDevice(network.target)
    program = link_for_gpu(network, device, tmp_path / "runner", options=options)
    output_bytes = sum(info.nbytes for info in network.manifest.outputs)
    request = RunRequest(
        program, pack(network.manifest.inputs, inputs), len(inputs[0]), output_bytes, repeats=5
    )
    with device:
        result = device.run(request)
    first = outputs[0]
    got = np.frombuffer(result.outputs, first.dtype).reshape(len(first), -1)[:, : first[0].size]
    np.testing.assert_allclose(got, first.reshape(len(first), -1), rtol=1e-4, atol=1e-4)


def test_the_sanitizer_finds_nothing(network: Artifact, tmp_path: Path) -> None:
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer not found (install the CUDA toolkit)")
    inputs, _ = load_golden(network)
    program = link_for_gpu(network, CudaDevice(network.target), tmp_path / "runner")
    (tmp_path / "in.bin").write_bytes(pack(network.manifest.inputs, inputs))
    runner = [str(program), "in.bin", "out.bin", str(len(inputs[0])), "1"]
    for tool in (["memcheck", "--leak-check", "full"], ["racecheck"], ["initcheck"]):
        command = [sanitizer, "--tool", *tool, "--error-exitcode", "9", *runner]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", list(NETWORKS))
def test_tuning_finds_kernels_that_compile_uses(name: str, tmp_path: Path) -> None:
    """Time is measured, candidates are right, and the network of the best ones is compared and verified."""
    source = str(save(NETWORKS[name](), tmp_path / "net.onnx"))
    records, target = tmp_path / "records", local_target()
    result = tune(source, TuneOptions(target, records, ("cuda",), Budget(64)))
    assert result.metric == "seconds"
    assert result.device.startswith("cuda: ")
    assert set(result.progress.failures) <= {"noisy"}
    assert 0 < result.progress.latency <= result.progress.untuned
    chosen = CompileOptions(target, records=records)
    compiled_by_records = compile_model(source, chosen, tmp_path / "net.edge")
    assert compiled_by_records.report["tuning"]["by_record"]
    assert verify_artifact(compiled_by_records.artifact, "cuda").verification.level == "executed-on-device"


def test_a_gpu_older_than_the_code_is_refused_by_name(tmp_path: Path) -> None:
    newest = "sm_121"
    if int(re.findall(r"\d+", ARCHITECTURE)[0]) >= int(newest.removeprefix("sm_")):
        pytest.skip(f"this GPU is not older than {newest}")
    artifact = compiled(save(small_cnn(), tmp_path / "net.onnx"), tmp_path, local_target(newest), {})
    with pytest.raises(DeviceError, match="CUDA_ERROR_NO_BINARY_FOR_GPU"):
        verify_artifact(artifact, "cuda")


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_zoo) for name in MODELS])
def test_trained_networks(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    artifact = compiled(model_path(name), tmp_path, local_target(), SHAPES.get(name, {}))
    verify_artifact(artifact, "cuda", tolerance=1e-4)
    record_property("p50_us", bench_artifact(artifact, "cuda", runs=200).p50_us)
