"""Backends are found by the name in the target file, also in other packages, and serve compile and verify."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.backends.cpu import CpuBackend
from edgecompile.backends.find import find_backend, find_executor
from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import Target, find_target
from edgecompile.errors import InputError, UsageError
from edgecompile.verify import verify_artifact
from tests.support.networks import save, small_cnn

# A chip that takes ONNX files: the graph is the product, and onnxruntime stands in for the chip.
_PACKAGE = """
import onnxruntime
import numpy as np
from edgecompile.backends.backend import Build, Execution
from edgecompile.core.artifact import Manifest, MemoryFigures

class Chip:
    emits = ("tflite",)
    tools = ("jinja2",)

    def passes(self, model, request):
        return ()

    def build(self, model, request, folder):
        (folder / "chip.bin").write_bytes(b"chip")
        manifest = Manifest(
            request.name, request.target.name, model.inputs, model.outputs, MemoryFigures(0, 0, 0, 4), 1, "",
            (), request.emit, {}, model.provenance.sha256, tolerance=1e-3,
        )
        return Build(manifest, {"cycles": 7})

def execute(artifact, device, inputs):
    session = onnxruntime.InferenceSession(artifact.path / "model.onnx")
    names = [info.name for info in artifact.manifest.inputs]
    runs = [session.run(None, dict(zip(names, sample))) for sample in zip(*inputs)]
    return Execution(tuple(map(np.stack, zip(*runs))), "chip simulator", "graph-simulated")
"""


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A target of a backend that another package brings."""
    (tmp_path / "chip_package.py").write_text(_PACKAGE)
    metadata = tmp_path / "chip_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: chip_package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[edgecompile.backends]\nchip = chip_package:Chip\n"
        "[edgecompile.executors]\nchip = chip_package:execute\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "chip.toml"
    path.write_text('schema = 1\nbase = "cortex-m4"\nname = "chip"\nbackend = "chip"\n')
    return find_target(str(path))


def test_the_built_in_backend_needs_no_executor() -> None:
    target = find_target("cortex-m4")
    assert isinstance(find_backend(target), CpuBackend)
    assert find_executor(target, "lib") is None


def test_an_unknown_backend_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('schema = 1\nbase = "cortex-m4"\nname = "odd"\nbackend = "cpuu"\n')
    with pytest.raises(InputError, match=r"EC3021.*unknown backend 'cpuu'.*did you mean 'cpu'\?"):
        find_backend(find_target(str(path)))


def test_another_package_compiles_and_executes(chip: Target, tmp_path: Path) -> None:
    model = save(small_cnn(), tmp_path / "cnn.onnx")
    result = compile_model(str(model), CompileOptions(chip), tmp_path / "cnn.edge")
    assert (result.artifact.path / "chip.bin").read_bytes() == b"chip"
    assert result.artifact.manifest.emit == "tflite"
    assert "jinja2" in result.artifact.manifest.tools
    assert result.report["cycles"] == 7
    done = verify_artifact(result.artifact).verification
    assert (done.device, done.level, done.tolerance) == ("chip simulator", "graph-simulated", 1e-3)
    with pytest.raises(UsageError, match=r"EC2034.*cannot be measured or traced"):
        bench_artifact(result.artifact)


def test_a_form_that_is_not_written_is_refused(chip: Target, tmp_path: Path) -> None:
    model = save(small_cnn(), tmp_path / "cnn.onnx")
    with pytest.raises(UsageError, match=r"EC2033.*cannot be compiled to 'lib'.*use tflite"):
        compile_model(str(model), CompileOptions(chip, emit="lib"), tmp_path / "no.edge")
    assert not (tmp_path / "no.edge").exists()
