"""The shared library that is timed computes what the artifact computes; onnxruntime gets the same input."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from benchmarks.host import build_for_host, race, time_on_host
from benchmarks.library import LoadedNetwork
from benchmarks.networks import describe, quantized_copy
from benchmarks.peers import OnnxRuntime, identity_network, installed_peers
from benchmarks.roofline import Machine
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.target import find_target
from edgecompile.errors import InternalError
from edgecompile.execute import load_golden
from tests.support.networks import small_cnn


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "net.onnx"
    onnx.save(small_cnn(), path)
    return path


@pytest.fixture(scope="module")
def artifact(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    output = tmp_path_factory.mktemp("artifact") / "net.edge"
    return compile_model(str(model), CompileOptions(find_target("host")), output).artifact


def test_a_call_writes_the_outputs(artifact: Artifact, tmp_path: Path) -> None:
    inputs, expected = load_golden(artifact)
    network = LoadedNetwork(artifact, [array[0] for array in inputs], tmp_path)
    network.outputs[0][...] = np.nan
    network.call()
    np.testing.assert_allclose(network.outputs[0], expected[0][0], rtol=1e-4, atol=1e-5)
    assert all(array.ctypes.data % 64 == 0 for array in (*network.inputs, *network.outputs))


def test_portable_c_is_compiled_first(model: Path, tmp_path: Path) -> None:
    options = CompileOptions(find_target("host"), emit="c")
    artifact = compile_model(str(model), options, tmp_path / "net.edge").artifact
    inputs, expected = load_golden(artifact)
    network = LoadedNetwork(artifact, [array[0] for array in inputs], tmp_path)
    np.testing.assert_allclose(network.outputs[0], expected[0][0], rtol=1e-4, atol=1e-5)


def test_an_entry_that_fails_is_not_timed(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, library = tmp_path / "net.c", tmp_path / "net.so"
    source.write_text(f"int {artifact.manifest.entry}(void) {{ return -1; }}\n")
    from edgecompile.toolchain.find import find_toolchain

    find_toolchain(find_target("host"), executable=True).link([source], ("-shared", "-fPIC"), library)
    monkeypatch.setattr("benchmarks.library.link_shared", lambda *_: library)
    with pytest.raises(InternalError, match=r"EC1301.*returned -1"):
        LoadedNetwork(artifact, [array[0] for array in load_golden(artifact)[0]], tmp_path)


def test_onnxruntime_runs_on_bound_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[ort.IOBinding] = []
    original = ort.InferenceSession.run_with_iobinding

    def watch(session: ort.InferenceSession, binding: ort.IOBinding) -> None:
        original(session, binding)
        bound.append(binding)

    monkeypatch.setattr(ort.InferenceSession, "run_with_iobinding", watch)
    call = OnnxRuntime().bind(identity_network(), {"x": np.asarray([7.0], np.float32)}, 1)
    call()
    call()
    assert [binding.copy_outputs_to_cpu()[0].tolist() for binding in bound] == [[7.0], [7.0]]


def test_onnxruntime_is_installed() -> None:
    assert "onnxruntime" in installed_peers()


def test_a_row_from_file_to_figures(model: Path, tmp_path: Path) -> None:
    class Ceiling:
        """A machine of one multiply-accumulate a second."""

        def bound_us(self, dtype: str, macs: int, weight_bytes: int, threads: int) -> float:
            return macs / threads * 1e6

    network = describe(model)
    build = build_for_host(network, tmp_path, tuned=False)
    row = time_on_host(build, 1, ["onnxruntime"], 1, cast(Machine, Ceiling()))
    assert row["bound_us"] == network.macs * 1e6
    assert row["arena_bytes"] == build.artifact.manifest.memory.arena
    assert row["max_error"] < 1e-4
    assert row["ratio_to_onnxruntime"] == pytest.approx(row["ours_us"] / row["peer_us"])
    assert not row["tuned"]


def test_two_threads_run_on_the_pool_that_comes_along(model: Path, tmp_path: Path) -> None:
    build = build_for_host(describe(model), tmp_path, threads=2)
    times, failures = race(model, build.artifact, ["onnxruntime"], threads=2, rounds=1)
    assert sorted(times) == ["edgecompile", "onnxruntime"]
    assert failures == {}


def test_a_copy_in_integers_is_a_quantized_network(model: Path, tmp_path: Path) -> None:
    network = describe(model)
    copy = describe(quantized_copy(network, tmp_path))
    assert (copy.name, copy.dtype) == (f"{network.name}_qdq", "int8")
    assert copy.macs == network.macs
