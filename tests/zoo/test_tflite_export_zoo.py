"""Trained networks written as TensorFlow Lite: its reference kernels give the interpreter's integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import tflite_passes
from edgecompile.core.pipeline import Pipeline
from edgecompile.errors import UnsupportedError
from edgecompile.frontend.load import import_model
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.tflite_files import needs_tflite, reference
from tests.zoo.test_ethos_u_zoo import SAMPLES
from tests.zoo.zoo import needs_zoo, quantized_path

pytestmark = [*needs_zoo, needs_tflite]


@pytest.mark.parametrize("name", SAMPLES)
def test_integers_are_those_of_the_interpreter(name: str, tmp_path: Path) -> None:
    model, _ = Pipeline(tflite_passes(integer_io=True)).run(import_model(str(quantized_path(name, tmp_path))))
    run, network = reference(export_tflite(model)), Interpreter(model)
    for seed in range(min(SAMPLES[name], 20)):
        inputs = generate_inputs(model.inputs, seed)
        np.testing.assert_array_equal(run(*inputs.values()), network.run(inputs))


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    model = import_model(str(quantized_path("ultraface_rfb320", tmp_path)))
    prepared, _ = Pipeline(tflite_passes(integer_io=True)).run(model)
    with pytest.raises(UnsupportedError, match=r"EC4540\] Exp cannot be written .*it computes real numbers"):
        export_tflite(prepared)
