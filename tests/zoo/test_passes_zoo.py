"""Graph passes on trained models: every pass proven, no data moved inside of plain convolutional networks."""

from __future__ import annotations

import time

import pytest

from edgecompile.core.fused import Layout
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.optimize import graph_passes
from edgecompile.passes.prove import Prover, prove_in_onnxruntime
from tests.support.graphs import operators
from tests.zoo.zoo import MODELS, SHAPES, model_path, needs_zoo

pytestmark = needs_zoo

# Transposes that remain in layout nhwc: one of an image of three channels; detectors also of their results.
TRANSPOSES = {
    "fastestdet_coco": 3,
    "ic_resnet8": 1,
    "mobilenetv2_imagenet": 1,
    "ppocr_angle_cls": 1,
    "resnet20_cifar10": 1,
    "squeezenet1_1_imagenet": 1,
    "ultraface_rfb320": 1,
    "vww_mobilenet": 1,
}
SECONDS = 2.0


def canonical(name: str) -> Model:
    options = ImportOptions(input_shapes=SHAPES.get(name, {}))
    return import_through(str(model_path(name)), options, Pipeline(canonicalize_passes()))[0]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("name", MODELS)
def test_every_pass_is_proven(name: str, layout: Layout) -> None:
    before = canonical(name)
    reference = before.copy()
    after, _ = Pipeline(graph_passes(layout)).run(before, prove_in_onnxruntime)
    assert Prover(seed=7)(reference, after) < 1e-4
    if layout == "nhwc":
        assert operators(after).count("Transpose") == TRANSPOSES.get(name, 0)


def test_passes_are_quick() -> None:
    before = canonical("mobilenetv2_imagenet")
    started = time.process_time()
    Pipeline(graph_passes("nhwc")).run(before)
    assert time.process_time() - started < SECONDS
