"""A small network, compiled for a GPU once."""

from __future__ import annotations

import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.target import find_target
from tests.support.networks import save, small_cnn


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("cuda")
    model = save(small_cnn(), folder / "net.onnx")
    options = CompileOptions(find_target("jetson-orin-nano"))
    return compile_model(str(model), options, folder / "net.edge").artifact
