"""Trained networks for Core ML: written and evaluated in float16, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.errors import UnsupportedError
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from edgecompile.verify import verify_artifact
from tests.support.coreml import needs_coremltools
from tests.zoo.zoo import MODELS, SHAPES, golden, model_path, needs_zoo

pytestmark = [*needs_zoo, needs_coremltools]

# What float16 cannot hold.
REFUSED = {"basic_pitch_nmp": "Real constants are at most 65504"}


def options(name: str) -> CompileOptions:
    return CompileOptions(find_target("apple-neural-engine"), input_shapes=SHAPES.get(name, {}))


@pytest.mark.parametrize("name", MODELS)
def test_in_float16(name: str, tmp_path: Path) -> None:
    if name in REFUSED:
        with pytest.raises(UnsupportedError, match=REFUSED[name]):
            compile_model(str(model_path(name)), options(name), tmp_path / "net.edge")
        return
    artifact = compile_model(str(model_path(name)), options(name), tmp_path / "net.edge").artifact
    assert verify_artifact(artifact, tolerance=1e-2).verification.level == "reference-model"


@pytest.mark.parametrize("name", ["kws_dscnn", "resnet20_cifar10"])
@pytest.mark.parametrize("recipe", ["int8", "int8w", "palette4"])
def test_in_fewer_bits(name: str, recipe: str, tmp_path: Path) -> None:
    (inputs,) = golden(name).inputs
    np.savez(tmp_path / "samples.npz", in_0=inputs)
    chosen = QuantizeOptions(str(tmp_path / "samples.npz"), recipe=recipe)
    write_result(quantize_source(str(model_path(name)), chosen), tmp_path / "net.onnx")
    artifact = compile_model(str(tmp_path / "net.onnx"), options(name), tmp_path / "net.edge").artifact
    verify_artifact(artifact)
