"""The device `cuda`, with the simulated driver where NVIDIA's would be."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.backends.cuda.files import FOLDER, KERNELS
from edgecompile.backends.cuda.simulator.build import build_simulator
from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.target import find_target
from edgecompile.devices.gpu import CudaDevice, gpu_architecture
from edgecompile.errors import DeviceError, MissingToolError, UsageError
from edgecompile.verify import verify_artifact
from tests.support.networks import save, wide_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("chain")
    options = CompileOptions(find_target("rtx-a2000"))
    return compile_model(str(save(wide_chain(), folder / "net.onnx")), options, folder / "net.edge").artifact


@pytest.fixture(scope="module")
def library(chain: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = (chain.path / FOLDER / KERNELS).read_text()
    return build_simulator(source, "sm_86", tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs find the simulated driver by the environment, this process by its path."""
    monkeypatch.setattr("edgecompile.devices.gpu._DRIVER", str(library))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library.parent))


@pytest.mark.usefixtures("driver")
def test_it_says_what_it_is() -> None:
    with CudaDevice(find_target("rtx-a2000")) as device:
        assert device.health() == "simulated GPU (sm_86), driver for CUDA 13.0"
    assert gpu_architecture() == "sm_86"


@pytest.mark.usefixtures("driver")
def test_it_executes_and_measures_the_library_of_the_artifact(chain: Artifact) -> None:
    done = verify_artifact(chain, "cuda").verification
    assert (done.level, done.device) == ("executed-on-device", "cuda")
    assert done.max_error < 1e-5
    report = bench_artifact(chain, "cuda", runs=3, per_layer=True)
    assert report.p50_us is not None
    assert len(report.steps) == len(chain.manifest.steps)
    assert all(step.microseconds is not None for step in report.steps)


@pytest.mark.usefixtures("driver")
def test_a_failure_is_told_by_its_name_in_cuda(chain: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMPILE_SIMULATED_FAULT", "cuMemAlloc_v2:1:2")
    expected = r"EC7004.*the engine cannot be created: CUDA_ERROR_OUT_OF_MEMORY \(2\)"
    with pytest.raises(DeviceError, match=expected):
        verify_artifact(chain, "cuda")


def test_without_a_driver_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecompile.devices.gpu._DRIVER", "libnothing.so")
    with pytest.raises(MissingToolError, match=r"EC5592.*no NVIDIA driver"), CudaDevice(find_target("h200")):
        pass


@pytest.mark.usefixtures("driver")
def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMPILE_SIMULATED_FAULT", "cuInit:1:100")
    with pytest.raises(MissingToolError, match=r"EC5592.*CUDA error 100"), CudaDevice(find_target("h200")):
        pass


@pytest.mark.usefixtures("driver")
def test_a_jetson_is_not_this_machine() -> None:
    with (
        pytest.raises(UsageError, match=r"EC2021.*--device cuda"),
        CudaDevice(find_target("jetson-orin-nano")),
    ):
        pass
