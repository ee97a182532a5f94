"""Trained networks on the Ethos-U: all of each on the NPU, and its command stream computes exact integers."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.ethos_u.execute import EMULATOR
from edgecompile.frontend.load import import_model
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from tests.support.ethos_u import needs_vela
from tests.support.ethos_u_artifacts import built, compare, request_for
from tests.zoo.zoo import FOLDER, SHAPES, golden, model_path, needs_zoo

pytestmark = [*needs_zoo, needs_vela]

# How many random inputs each network gets, on the NPUs in turn.
SAMPLES = {
    "ad01_int8": 100,
    "ad_autoencoder": 100,
    "ic_resnet8": 20,
    "ic_resnet8_int8": 20,
    "kws_dscnn": 100,
    "kws_ref_int8": 100,
    "mnist_cnn": 100,
    "mobilenetv2_imagenet": 1,
    "ppocr_angle_cls": 5,
    "resnet20_cifar10": 10,
    "squeezenet1_1_imagenet": 1,
    "str_ww_int8": 100,
    "vww_96_int8": 10,
    "vww_mobilenet": 10,
}
TARGETS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256")


def source_of(name: str, folder: Path) -> Path:
    """The network in int8: a TensorFlow Lite file, or calibrated with its own golden inputs."""
    file = FOLDER / "models" / f"{name}.tflite"
    if file.exists():
        return file
    (inputs,) = golden(name).inputs
    np.savez(folder / "samples.npz", in_0=inputs)
    options = QuantizeOptions(str(folder / "samples.npz"), input_shapes=SHAPES.get(name, {}))
    write_result(quantize_source(str(model_path(name)), options), folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize(("name", "target"), [*zip(SAMPLES, cycle(TARGETS), strict=False)])
def test_no_value_differs(name: str, target: str, tmp_path: Path) -> None:
    network = import_model(str(source_of(name, tmp_path)))
    artifact, model, figures = built(network, tmp_path / "net.edge", request_for(target))
    assert figures["estimates"]["cpu_operators"] == 0
    assert "fallback" not in figures
    assert compare(artifact, model, SAMPLES[name], EMULATOR) == EMULATOR
