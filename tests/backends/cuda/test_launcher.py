"""The launcher as it is generated, against the simulated driver: results, options, and every failure."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.cuda.files import compile_launcher
from edgecompile.backends.cuda.simulator.build import LIBRARY, build_simulator, simulation_toolchain
from edgecompile.core.artifact import Artifact
from edgecompile.execute import load_golden

PROGRAM = Path(__file__).parent / "launcher_program.c"
MAPPED, NO_GRAPH = 1, 2
LEFT_BEHIND = 75
OUT_OF_MEMORY = 2


@dataclass(frozen=True)
class Launcher:
    """A program around the launcher with the simulated driver beside it."""

    path: Path
    sample: np.ndarray
    expected: np.ndarray

    def run(
        self, options: int = 0, device: int = 0, more: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [str(self.path), str(options), str(device), *more]
        given = self.sample.tobytes()
        done = subprocess.run(
            command, input=given, capture_output=True, env=environment, timeout=60, check=False
        )
        return subprocess.CompletedProcess(
            command, done.returncode, done.stdout.decode(), done.stderr.decode()
        )


@pytest.fixture(scope="module")
def launcher(network: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    folder = tmp_path_factory.mktemp("launcher")
    toolchain = simulation_toolchain()
    build_simulator((network.path / "cuda" / "kernels.cu").read_text(), "sm_87", folder)
    objects = compile_launcher("net", network.path, toolchain, folder, "-Wall", "-Wextra", "-Werror")
    include = ("-I", str(network.path / "include"), "-Wall", "-Werror")
    objects.append(toolchain.compile([PROGRAM], include, folder / "program.o"))
    flags = ("-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN", "-ldl")
    inputs, outputs = load_golden(network)
    return Launcher(toolchain.link(objects, flags, folder / "program"), inputs[0][0], outputs[0][0])


@pytest.mark.parametrize("options", [0, MAPPED, NO_GRAPH, MAPPED | NO_GRAPH])
def test_it_computes_the_network_with_every_option_and_leaves_nothing_allocated(
    launcher: Launcher, options: int
) -> None:
    done = launcher.run(options)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert lines[:3] == ["create: OK", "run: OK", "run: OK"]
    np.testing.assert_allclose([float(line) for line in lines[3:-1]], launcher.expected.ravel(), atol=1e-5)


def test_work_for_a_stream_of_the_caller_needs_his_context(launcher: Launcher) -> None:
    assert "enqueue: CUDA_ERROR_INVALID_CONTEXT" in launcher.run(more=("stream",)).stdout


def _calls_of(network: Artifact) -> list[str]:
    source = (network.path / "src" / "net.c").read_text()
    return re.findall(r'^  X\(\w+, "(\w+)"', source, re.MULTILINE)


# What gives back: when that fails, something has to stay.
RELEASES = {
    "cuDevicePrimaryCtxRelease_v2",
    "cuModuleUnload",
    "cuMemFree_v2",
    "cuMemFreeHost",
    "cuStreamDestroy_v2",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
}


PUSH = "cuCtxPushCurrent_v2"


@pytest.mark.parametrize("options", [0, MAPPED, NO_GRAPH])
def test_whatever_fails_is_named_and_leaves_nothing_allocated(
    network: Artifact, launcher: Launcher, options: int
) -> None:
    reached = 0
    for name in _calls_of(network):
        if name in RELEASES or name == "cuGetErrorName":
            continue
        for number in range(1, 100):
            done = launcher.run(options, EDGECOMPILE_SIMULATED_FAULT=f"{name}:{number}:{OUT_OF_MEMORY}")
            if done.returncode == 0:
                break
            if name == PUSH and done.returncode == LEFT_BEHIND:
                # While destroying: what cannot be reached cannot be given back.
                assert done.stdout.count("OK") == 3
                continue
            assert done.returncode == 1, (name, number, done.stdout, done.stderr)
            assert "CUDA_ERROR_OUT_OF_MEMORY" in done.stdout, (name, number)
            reached += 1
        else:
            pytest.fail(f"{name} is called without end")
    assert reached > 20


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_what_is_not_given_back_makes_the_simulation_fail(launcher: Launcher, name: str) -> None:
    done = launcher.run(EDGECOMPILE_SIMULATED_FAULT=f"{name}:1:1")
    assert done.returncode == LEFT_BEHIND
    assert "left behind" in done.stderr


def test_an_older_gpu_is_refused_by_name(launcher: Launcher) -> None:
    done = launcher.run(EDGECOMPILE_SIMULATED_ARCHITECTURE="75")
    assert (done.returncode, done.stdout) == (1, "create: CUDA_ERROR_NO_BINARY_FOR_GPU\n")


def test_a_newer_gpu_runs_the_ptx(launcher: Launcher) -> None:
    assert launcher.run(EDGECOMPILE_SIMULATED_ARCHITECTURE="100").returncode == 0


def test_a_gpu_that_does_not_exist_is_named(launcher: Launcher) -> None:
    assert launcher.run(device=1).stdout == "create: CUDA_ERROR_INVALID_DEVICE\n"


def test_without_a_driver_it_says_so(launcher: Launcher, tmp_path: Path) -> None:
    alone = tmp_path / "program"
    alone.write_bytes(launcher.path.read_bytes())
    alone.chmod(0o700)
    done = Launcher(alone, launcher.sample, launcher.expected).run()
    if done.returncode == 0:
        pytest.skip("this machine has a driver")
    assert done.stdout == "create: ERROR_NO_DRIVER\n"


def test_a_driver_that_lacks_a_function_is_too_old(launcher: Launcher, tmp_path: Path) -> None:
    alone = tmp_path / "program"
    alone.write_bytes(launcher.path.read_bytes())
    alone.chmod(0o700)
    source = tmp_path / "old.c"
    source.write_text("int cuInit(unsigned flags) { return (int)flags; }\n")
    toolchain = simulation_toolchain()
    toolchain.link([toolchain.compile([source], (), tmp_path / "old.o")], ("-shared",), tmp_path / LIBRARY)
    assert Launcher(alone, launcher.sample, launcher.expected).run().stdout == "create: ERROR_OLD_DRIVER\n"
