"""Quantized networks of the zoo give the very integers of TFLite's reference kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.pipeline import optimize
from edgecompile.core.target import find_target
from edgecompile.errors import UnsupportedError
from edgecompile.frontend.load import import_model
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.tflite_files import needs_tflite, reference
from tests.zoo.zoo import FOLDER, needs_zoo

pytestmark = needs_zoo

EXACT = ("ad01_int8", "ic_resnet8_int8", "kws_ref_int8", "str_ww_int8", "vww_96_int8")
REFUSED = {
    "mnist_lstm_int8": r"EC4144\] UNIDIRECTIONAL_SEQUENCE_LSTM cannot be imported",
    "okay_nabu_streaming_int8": r"operator VAR_HANDLE cannot be imported at 'stream_10/states",
}
SAMPLES = 200


def path_of(name: str) -> Path:
    return FOLDER / "models" / f"{name}.tflite"


@needs_tflite
@pytest.mark.parametrize("target", ["cortex-m4", "host"])
@pytest.mark.parametrize("name", EXACT)
def test_integers_are_those_of_tflite(name: str, target: str) -> None:
    model, _ = optimize(import_model(str(path_of(name))), find_target(target))
    network, run = Interpreter(model), reference(path_of(name).read_bytes())
    assert not [note for note in model.notes if "computed in float" in note]
    for seed in range(SAMPLES):
        inputs = generate_inputs(model.inputs, seed)
        np.testing.assert_array_equal(network.run(inputs), run(*inputs.values()))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_imported_is_named(name: str) -> None:
    with pytest.raises(UnsupportedError, match=REFUSED[name]):
        import_model(str(path_of(name)))


def test_every_file_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("models/*.tflite")} == {*EXACT, *REFUSED}
