"""Trained networks on the Ethos-U: all of each on the NPU, and its command stream computes exact integers."""

from __future__ import annotations

import shutil
from itertools import cycle
from pathlib import Path

import pytest

from edgecompile.backends.ethos_u.execute import EMULATOR
from edgecompile.frontend.load import import_model
from tests.support.ethos_u import needs_vela
from tests.support.ethos_u_artifacts import built, compare, request_for
from tests.zoo.zoo import needs_zoo, quantized_path

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


@pytest.mark.parametrize(("name", "target"), [*zip(SAMPLES, cycle(TARGETS), strict=False)])
def test_no_value_differs(name: str, target: str, tmp_path: Path) -> None:
    network = import_model(str(quantized_path(name, tmp_path)))
    artifact, model, figures = built(network, tmp_path / "net.edge", request_for(target))
    assert figures["estimates"]["cpu_operators"] == 0
    assert "fallback" not in figures
    assert compare(artifact, model, SAMPLES[name], EMULATOR) == EMULATOR


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="needs a Cortex-M55 (apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm)",
)
@pytest.mark.parametrize(
    ("name", "parts", "switches"),
    [("crepe_tiny", 1, 1), ("fastestdet_coco", 1, 2), ("ultraface_rfb320", 3, 5)],
)
def test_the_cpu_computes_what_the_npu_does_not(name: str, parts: int, switches: int, tmp_path: Path) -> None:
    network = import_model(str(quantized_path(name, tmp_path)))
    request = request_for("ethos-u55-256", fallback="cpu")
    artifact, model, figures = built(network, tmp_path / "net.edge", request)
    assert (figures["fallback"]["npu_segments"], figures["fallback"]["switches"]) == (parts, switches)
    assert compare(artifact, model, 1) == f"qemu and {EMULATOR}"
