"""PyTorch modules compile by name and compute what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.execute import CompiledNetwork
from tests.support import torch_networks


@pytest.mark.parametrize("name", ["squeeze_excite", "encoder", "unet", "bidirectional_lstm", "gru"])
def test_compiled_module_matches_torch(name: str, tmp_path: Path) -> None:
    module, inputs = getattr(torch_networks, name)()
    with torch.no_grad():
        result = module(*inputs)
    expected = [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]
    source = f"tests.support.torch_networks:{name}"
    artifact = compile_model(source, CompileOptions(find_target("host")), tmp_path / "out.edge").artifact
    network = CompiledNetwork(artifact)
    got = network.outputs(network.run([tensor.numpy()[None] for tensor in inputs]), 1)
    for actual, want in zip(got, expected, strict=True):
        assert np.abs(actual[0] - want).max() <= 1e-4 * np.abs(want).max()
