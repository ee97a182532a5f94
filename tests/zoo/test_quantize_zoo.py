"""Trained networks in int8: the binary of every target computes exactly what the interpreter specifies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from edgecompile.verify import verify_artifact
from tests.zoo.zoo import SHAPES, golden, model_path, needs_zoo

pytestmark = needs_zoo

_LINUX = ("host", "cortex-a72", "cortex-a76")
_MICRO = ("cortex-m4", "cortex-m55")
_SMALL = ("kws_dscnn", "vww_mobilenet", "ic_resnet8", "ad_autoencoder", "mnist_cnn", "resnet20_cifar10")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the quantized networks are kept for all targets."""
    return tmp_path_factory.mktemp("quantized")


def quantized(name: str, folder: Path) -> Path:
    """The network in int8, calibrated with its own golden inputs."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        (inputs,) = golden(name).inputs
        np.savez(folder / f"{name}.npz", in_0=inputs)
        options = QuantizeOptions(str(folder / f"{name}.npz"), input_shapes=SHAPES.get(name, {}))
        write_result(quantize_source(str(model_path(name)), options), path)
    return path


@pytest.mark.parametrize("target", [*_LINUX, *_MICRO])
@pytest.mark.parametrize("name", _SMALL)
def test_no_value_differs(name: str, target: str, folder: Path, tmp_path: Path) -> None:
    _compile_and_compare(name, target, folder, tmp_path)


@pytest.mark.parametrize("target", _LINUX)
def test_no_value_of_a_larger_network_differs(target: str, folder: Path, tmp_path: Path) -> None:
    _compile_and_compare("mobilenetv2_imagenet", target, folder, tmp_path)


def _compile_and_compare(name: str, target: str, folder: Path, tmp_path: Path) -> None:
    options = CompileOptions(find_target(target), check_budget=False)
    artifact = compile_model(str(quantized(name, folder)), options, tmp_path / "net.edge").artifact
    report = verify_artifact(artifact, None)  # raises on a mismatch
    assert report.verification.tolerance == 0.0
    assert report.verification.max_error == 0.0
