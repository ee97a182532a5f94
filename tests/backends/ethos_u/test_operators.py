"""What Vela makes of every operator computes the very integers of the interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.ethos_u.backend import configuration, ethos_u_passes
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.ethos_u.files import read_program, write_segment
from edgecompile.backends.ethos_u.partition import refusals
from edgecompile.backends.ethos_u.vela import compile_network
from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import tflite_passes
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import find_target
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.ethos_u import needs_vela
from tests.support.integer_networks import NETWORKS
from tests.support.tflite_files import needs_tflite, reference

SAMPLES = 4
EVERYWHERE = ("conv", "depthwise", "dense", "mean of rows", "softmax", "two inputs and outputs")
CASES = [(name, "ethos-u55-128") for name in NETWORKS] + [(name, "ethos-u65-512") for name in EVERYWHERE]


@needs_vela
@pytest.mark.parametrize(("name", "target_name"), CASES)
def test_the_stream_computes_the_same_integers(name: str, target_name: str, tmp_path: Path) -> None:
    target = find_target(target_name)
    npu = configuration(target)
    model, _ = Pipeline(ethos_u_passes()).run(NETWORKS[name]())
    assert not refusals(model, npu, target)
    separate = len(model.inputs) == len(model.outputs) == 1
    file = export_tflite(model)
    compiled = compile_network(file, npu, "Raw", "net", separate)
    write_segment(compiled, file, model.inputs, model.outputs, tmp_path / "net")
    emulator = Emulator(read_program(tmp_path / "net"))
    network = Interpreter(model)
    for seed in range(SAMPLES):
        inputs = generate_inputs(model.inputs, seed)
        for got, expected in zip(emulator.run(list(inputs.values())), network.run(inputs), strict=True):
            np.testing.assert_array_equal(got, expected)


@needs_tflite
@pytest.mark.parametrize("name", ["dense", "dense per tensor", "rows"])
def test_what_vela_takes_is_rounded_like_that_by_the_reference_kernels(name: str) -> None:
    model, _ = Pipeline(tflite_passes(integer_io=True, uniform=True)).run(NETWORKS[name]())
    run, network = reference(export_tflite(model)), Interpreter(model)
    for seed in range(SAMPLES):
        inputs = generate_inputs(model.inputs, seed)
        np.testing.assert_array_equal(run(*inputs.values()), network.run(inputs))
