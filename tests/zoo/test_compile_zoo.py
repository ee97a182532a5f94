"""Every trained model compiles, and the binary computes what onnxruntime computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.execute import CompiledNetwork
from edgecompile.verify import verify_artifact
from tests.zoo.zoo import CLASSIFIERS, MICRO_MODELS, MODELS, SHAPES, golden, model_path, needs_zoo

pytestmark = needs_zoo

_TOLERANCE = 1e-4
_ARENA_SLACK = 1.05


@pytest.mark.parametrize("target", ["host", "cortex-a72"])
@pytest.mark.parametrize("name", MODELS)
def test_linux_targets(name: str, target: str, tmp_path: Path) -> None:
    _compile_and_compare(name, target, tmp_path)


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m7", "cortex-m55"])
@pytest.mark.parametrize("name", MICRO_MODELS)
def test_microcontrollers(name: str, target: str, tmp_path: Path) -> None:
    _compile_and_compare(name, target, tmp_path)


def _compile_and_compare(name: str, target: str, tmp_path: Path) -> None:
    options = CompileOptions(find_target(target), SHAPES.get(name, {}), check_budget=False)
    artifact = compile_model(str(model_path(name)), options, tmp_path / f"{name}.edge").artifact
    memory = artifact.manifest.memory
    assert memory.arena <= _ARENA_SLACK * memory.arena_lower_bound

    verify_artifact(artifact, None, tolerance=_TOLERANCE)  # raises on a mismatch

    expected = golden(name)
    network = CompiledNetwork(artifact)
    batches = list(expected.inputs)
    if name in SHAPES and batches[0].shape == artifact.manifest.inputs[0].shape:
        batches = [batch[None] for batch in batches]
    results = network(*batches)
    for got, want in zip(
        results if isinstance(results, tuple) else (results,), expected.outputs, strict=True
    ):
        got = got.reshape(want.shape)
        assert np.abs(got - want).max() <= _TOLERANCE * np.abs(want).max()
        if name in CLASSIFIERS and want.ndim == 2:
            np.testing.assert_array_equal(got.argmax(1), want.argmax(1))
