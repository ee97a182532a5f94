"""Trained networks on the Ethos-U: all of each on the NPU, and its command stream computes exact integers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.ethos_u.execute import run_ethos_u
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import find_target
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from tests.support.ethos_u import needs_vela
from tests.zoo.zoo import FOLDER, SHAPES, golden, model_path, needs_zoo

pytestmark = [*needs_zoo, needs_vela]

# How many random inputs each network gets.
TRAINED = {
    "ad_autoencoder": 100,
    "ic_resnet8": 100,
    "kws_dscnn": 100,
    "mnist_cnn": 100,
    "mobilenetv2_imagenet": 5,
    "ppocr_angle_cls": 100,
    "resnet20_cifar10": 100,
    "squeezenet1_1_imagenet": 5,
    "vww_mobilenet": 100,
}
FILES = dict.fromkeys(("ad01_int8", "ic_resnet8_int8", "kws_ref_int8", "str_ww_int8", "vww_96_int8"), 100)
TARGETS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the quantized networks are kept for all targets."""
    return tmp_path_factory.mktemp("quantized")


def source_of(name: str, folder: Path) -> Path:
    """The network in int8: a TensorFlow Lite file, or calibrated with its own golden inputs."""
    if name in FILES:
        return FOLDER / "models" / f"{name}.tflite"
    path = folder / f"{name}.onnx"
    if not path.exists():
        (inputs,) = golden(name).inputs
        np.savez(folder / f"{name}.npz", in_0=inputs)
        options = QuantizeOptions(str(folder / f"{name}.npz"), input_shapes=SHAPES.get(name, {}))
        write_result(quantize_source(str(model_path(name)), options), path)
    return path


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("name", "samples"), (TRAINED | FILES).items())
def test_no_value_differs(name: str, samples: int, target: str, folder: Path, tmp_path: Path) -> None:
    options = CompileOptions(find_target(target), check_budget=False)
    artifact = compile_model(str(source_of(name, folder)), options, tmp_path / "net.edge").artifact
    report = json.loads((artifact.path / "report.json").read_text())
    assert report["estimates"]["cpu_operators"] == 0
    _compare(artifact, samples)


def _compare(artifact: Artifact, samples: int) -> None:
    data = (artifact.path / "model.onnx").read_bytes()
    network = Interpreter(Model.from_bytes(data, Provenance("model.onnx", "", 0)))
    feeds = [generate_inputs(artifact.manifest.inputs, seed) for seed in range(samples)]
    columns = [np.stack([feed[info.name] for feed in feeds]) for info in artifact.manifest.inputs]
    executed = run_ethos_u(artifact, None, columns)
    assert executed.level == "executed-in-emulator"
    for index, feed in enumerate(feeds):
        for got, expected in zip(executed.outputs, network.run(feed), strict=True):
            np.testing.assert_array_equal(got[index], expected)
