"""Quantized networks of the zoo on every Ethos-U55 and Ethos-U65: the integers of their references."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.backends.ethos_u.emulator.configuration import CONFIGURATIONS
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.pipeline import optimize
from edgecompile.core.integer import ROUNDING_KEY
from edgecompile.core.target import find_target
from edgecompile.frontend.load import import_model
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.ethos_u import compile_for, needs_vela
from tests.support.tflite_files import Array, needs_tflite, reference
from tests.zoo.test_tflite_zoo import path_of
from tests.zoo.zoo import needs_zoo

pytestmark = [*needs_zoo, needs_vela, needs_tflite]

INPUTS: dict[str, tuple[int, ...]] = {
    "ic_resnet8_int8": (1, 32, 32, 3),
    "kws_ref_int8": (1, 49, 10, 1),
    "mnist_lstm_int8": (1, 28, 28),
    "str_ww_int8": (1, 30, 1, 40),
    "vww_96_int8": (1, 96, 96, 3),
}
SAMPLES = 5


def _emulator(npu: str, name: str) -> Emulator:
    return Emulator(compile_for(npu, path_of(name).read_bytes()))


def _equal(found: list[Array], expected: list[Array]) -> None:
    for output, array in zip(found, expected, strict=True):
        np.testing.assert_array_equal(output.reshape(array.shape), array)


@pytest.mark.parametrize("npu", CONFIGURATIONS)
@pytest.mark.parametrize("name", INPUTS)
def test_integers_are_those_of_tflite(name: str, npu: str) -> None:
    emulator, run = _emulator(npu, name), reference(path_of(name).read_bytes())
    for seed in range(SAMPLES):
        x = np.random.default_rng(seed).integers(-128, 128, INPUTS[name], np.int8)
        _equal(emulator.run([x]), run(x))


@pytest.mark.parametrize("npu", CONFIGURATIONS)
def test_fully_connected_layers_round_twice(npu: str) -> None:
    """As our interpreter does when it is told to; LiteRT rounds once there."""
    imported = import_model(str(path_of("ad01_int8")))
    imported.graph.metadata_props[f"{ROUNDING_KEY}.Gemm"] = "double"
    model, _ = optimize(imported, find_target("cortex-m4"))
    emulator, network = _emulator(npu, "ad01_int8"), Interpreter(model)
    for seed in range(SAMPLES):
        inputs = generate_inputs(model.inputs, seed)
        _equal(emulator.run(list(inputs.values())), network.run(inputs))
