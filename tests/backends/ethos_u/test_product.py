"""The file with the operator ethos-u is read as the program that it holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from edgecompile.backends.ethos_u.backend import configuration
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.ethos_u.product import read_product
from edgecompile.backends.ethos_u.vela import compile_network
from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import tflite_passes
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import find_target
from edgecompile.errors import InternalError
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.ethos_u import needs_vela
from tests.support.integer_networks import NETWORKS
from tests.support.tflite_files import TFLiteFile

TARGETS: Mapping[str, str] = {
    "two inputs and outputs": "ethos-u55-128",
    "matmul": "ethos-u55-32",
    "conv": "ethos-u65-512",
    "softmax": "ethos-u65-512",
}


@needs_vela
@pytest.mark.parametrize(("name", "target"), TARGETS.items())
def test_the_file_computes_the_same_integers(name: str, target: str) -> None:
    """Also where fast memory is memory of its own, as on ethos-u65-512."""
    model, _ = Pipeline(tflite_passes(integer_io=True, uniform=True)).run(NETWORKS[name]())
    npu = configuration(find_target(target))
    file = compile_network(export_tflite(model), npu, "TFLite", "net").file
    emulator, network = Emulator(read_product(file, "net_ethos_u.tflite")), Interpreter(model)
    for seed in range(3):
        inputs = generate_inputs(model.inputs, seed)
        for got, expected in zip(emulator.run(list(inputs.values())), network.run(inputs), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_a_file_with_other_operators_is_refused() -> None:
    file = TFLiteFile()
    for tensor in ("x", "y"):
        file.tensor(tensor, (1, 4), "INT8", 0.5, 0)
    file.op("RELU", ["x"], ["y"], "")
    with pytest.raises(InternalError, match=r"EC1542\] the file has other operators than the NPU's"):
        read_product(file.build(["x"], ["y"]), "net.tflite")
