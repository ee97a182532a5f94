"""Artifacts for several threads: what is in them, how they are executed and measured, what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgecompile.bench import bench_artifact
from edgecompile.cli.main import main
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact, open_artifact
from edgecompile.core.target import find_target
from edgecompile.errors import DeviceError, UsageError
from edgecompile.execute import CompiledNetwork, load_golden
from edgecompile.toolchain.build import build_runner
from edgecompile.toolchain.find import find_toolchain
from edgecompile.verify import verify_artifact
from tests.fakes.build import target_or_skip
from tests.support.elf import undefined_symbols, writable_bytes
from tests.support.networks import save, wide_chain


def _compile(folder: Path, target: str = "host", threads: int = 2, name: str = "chain") -> Artifact:
    """A network with steps that are large enough to be shared out."""
    model = save(wide_chain(rows=2400), folder / f"{name}.onnx")
    options = CompileOptions(find_target(target), threads=threads)
    return compile_model(str(model), options, folder / f"{name}.edge").artifact


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return _compile(tmp_path_factory.mktemp("threads"))


def _members(artifact: Artifact, folder: Path) -> dict[str, Path]:
    subprocess.run(["ar", "x", str(artifact.library)], cwd=folder, check=True)
    return {path.stem.removeprefix("chain_"): path for path in folder.glob("*.o")}


def test_the_executor_is_a_member_of_its_own(built: Artifact, tmp_path: Path) -> None:
    members = _members(built, tmp_path)
    assert sorted(members) == ["entry", "kernels", "threads", "weights"]
    assert "pthread_create" in undefined_symbols(members["threads"])
    others = [path for name, path in members.items() if name != "threads"]
    needed = set().union(*(undefined_symbols(path) for path in others))
    assert not {name for name in needed if "thread" in name}
    assert sum(writable_bytes(path) for path in members.values()) == 0


def test_one_thread_leaves_no_trace_of_threads(tmp_path: Path) -> None:
    artifact = _compile(tmp_path, threads=1)
    (tmp_path / "members").mkdir()
    assert sorted(_members(artifact, tmp_path / "members")) == ["entry", "kernels", "weights"]
    files = [path for part in ("include", "src") for path in (artifact.path / part).iterdir()]
    texts = [path.read_text().lower() for path in files]
    assert [text for text in texts if "thread" in text or "executor" in text or "begin" in text] == []
    assert artifact.manifest.threads == 1


def test_the_manifest_and_the_report_tell(built: Artifact) -> None:
    assert open_artifact(built.path).manifest.threads == 2
    assert json.loads((built.path / "report.json").read_text())["parallel_steps"] >= 2


@pytest.mark.parametrize("threads", [1, 2])
def test_verify_executes_on_threads(built: Artifact, threads: int) -> None:
    report = verify_artifact(built, threads=threads, per_layer=True)
    assert report.verification.passed
    assert max(layer.max_error for layer in report.layers) <= 1e-4


def test_threads_in_an_emulator(tmp_path: Path) -> None:
    target_or_skip("cortex-a72")
    artifact = _compile(tmp_path, "cortex-a72")
    assert verify_artifact(artifact, threads=2).verification.passed
    with pytest.raises(UsageError, match=r"EC2032.*an emulator counts the instructions of one"):
        bench_artifact(artifact, threads=2)


def test_bench_measures_on_threads(built: Artifact) -> None:
    report = bench_artifact(built, runs=20, per_layer=True, threads=2)
    assert report.threads == 2
    assert report.p50_us is not None
    assert report.p50_us > 0
    assert len(report.steps) == len(built.manifest.steps)


def _refused(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("verb", ["verify", "bench"])
def test_more_threads_than_compiled_for_are_refused(
    verb: str, built: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = _refused([verb, str(built.path), "--threads", "3"], capsys)
    assert "error[EC2031] chain cannot run on 3 threads" in printed
    assert "it was compiled for 2. Fix: compile it with --threads 3." in printed


def test_firmware_has_one_thread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(save(wide_chain(), tmp_path / "chain.onnx"))
    printed = _refused(
        ["compile", model, "-t", "cortex-m4", "--threads", "2", "-o", str(tmp_path / "a")], capsys
    )
    assert "error[EC2030] cortex-m4 runs one thread" in printed
    assert "without an operating system" in printed
    assert not (tmp_path / "a").exists()


def test_the_number_of_threads_has_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(save(wide_chain(), tmp_path / "chain.onnx"))
    printed = _refused(["compile", model, "-t", "host", "--threads", "65", "-o", str(tmp_path / "a")], capsys)
    assert "error[EC2030] 65 threads are not possible" in printed
    assert "from 1 to 64" in printed


def test_a_program_without_its_threads_says_so(
    built: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = find_target("host")
    toolchain = find_toolchain(target, executable=True)
    network = CompiledNetwork(built)
    program = build_runner(built, target, toolchain, tmp_path / "runner", threads=3)
    monkeypatch.setattr(network, "_program", program)
    with pytest.raises(DeviceError, match=r"EC7004.*cannot start threads: 3"):
        network.run(load_golden(built)[0])
