"""What an artifact keeps of a segment is read back as the program that Vela made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecompile.backends.ethos_u.backend import configuration
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.ethos_u.files import (
    read_program,
    segment_folder,
    segment_folders,
    write_segment,
)
from edgecompile.backends.ethos_u.vela import compile_network
from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import tflite_passes
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import find_target
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.ethos_u import needs_vela
from tests.support.integer_networks import NETWORKS


@needs_vela
def test_inputs_that_share_a_region_fit_into_it(tmp_path: Path) -> None:
    model, _ = Pipeline(tflite_passes(integer_io=True, uniform=True)).run(
        NETWORKS["two inputs and outputs"]()
    )
    network = export_tflite(model)
    npu = configuration(find_target("ethos-u55-128"))
    compiled = compile_network(network, npu, "Raw", "net", separate=True)
    write_segment(compiled, network, model.inputs, model.outputs, tmp_path / "net")
    program = read_program(tmp_path / "net")
    (region,) = {place.region for place in program.inputs}
    assert program.regions[region] == max(place.end for place in program.inputs) > 648
    assert program.read_only == {region}
    inputs = generate_inputs(model.inputs, 1)
    for got, expected in zip(
        Emulator(program).run(list(inputs.values())), Interpreter(model).run(inputs), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_segments_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for index in (10, 2, 0, 1, *range(3, 10)):
        segment_folder(tmp_path, index).mkdir(parents=True)
    assert [int(folder.name) for folder in segment_folders(tmp_path)] == list(range(11))
