"""Trained networks for GPUs: code for every architecture, and launchers that compute them, simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.backends.cuda.files import FOLDER, KERNELS
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import report_json
from edgecompile.core.target import find_target
from edgecompile.toolchain.cuda import CudaBinary, find_cuda_compiler
from edgecompile.verify import verify_artifact
from tests.zoo.zoo import MODELS, SHAPES, model_path, needs_zoo

pytestmark = needs_zoo

TARGET = "jetson-orin-nano"
OTHER_ARCHITECTURES = ("sm_86", "sm_89", "sm_90")


@pytest.mark.parametrize("name", MODELS)
def test_the_simulated_gpu_computes_it_and_every_architecture_has_its_code(name: str, tmp_path: Path) -> None:
    options = CompileOptions(find_target(TARGET), SHAPES.get(name, {}))
    artifact = compile_model(str(model_path(name)), options, tmp_path / "net.edge").artifact
    assert verify_artifact(artifact, tolerance=1e-4).verification.level == "simulated"

    functions = report_json(artifact.path)["functions"]
    assert [figures["name"] for figures in functions if figures["spilled_bytes"]] == []
    source = (artifact.path / FOLDER / KERNELS).read_text(encoding="utf-8")
    for architecture in OTHER_ARCHITECTURES:
        binary: CudaBinary = find_cuda_compiler().compile(source, architecture)
        assert binary.cubin.startswith(b"\x7fELF")
        assert {figures.name for figures in binary.figures} == {figures["name"] for figures in functions}
        assert [figures.name for figures in binary.figures if figures.spilled_bytes] == []
