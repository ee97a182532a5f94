"""Artifacts to package: one of two layers that is made in no time, and the network of the examples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.process import zig_environment
from edgecompile.core.target import find_target
from edgecompile.quantize import QuantizeOptions, quantize_source
from tests.fakes.build import target_or_skip
from tests.support.artifacts import build_artifact

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Compile = Callable[[str, Literal["lib", "c"]], Artifact]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """relu(x @ w) without a library: enough for everything that only carries files."""
    return build_artifact(tmp_path_factory.mktemp("small") / "net.edge")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that examples/firmware-cortex-m/make_network.py writes."""
    folder = tmp_path_factory.mktemp("keywords")
    script = EXAMPLES / "firmware-cortex-m" / "make_network.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def keywords(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles that network, quantized to int8, for a target; each once. Skips without its compiler."""
    network = recording / "keywords-int8.onnx"
    result = quantize_source(
        str(recording / "keywords.onnx"), QuantizeOptions(str(recording / "samples.npz"))
    )
    network.write_bytes(result.model.to_bytes())

    @cache
    def compiled(target: str, emit: Literal["lib", "c"] = "lib") -> Artifact:
        target_or_skip(target)
        options = CompileOptions(find_target(target), name="keywords", emit=emit)
        folder = tmp_path_factory.mktemp("artifact") / "keywords.edge"
        return compile_model(str(network), options, folder).artifact

    return compiled


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """CMake, ninja and the rest of this Python's own programs first; zig with the caches of edgecompile."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in zig_environment().items():
        monkeypatch.setenv(name, value)
