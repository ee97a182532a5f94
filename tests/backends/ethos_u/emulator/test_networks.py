"""A whole network on every NPU: stripes, tiles, copies, tables and 32-bit arithmetic together."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.backends.ethos_u.emulator.configuration import CONFIGURATIONS
from edgecompile.backends.ethos_u.emulator.decoder import decode
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from tests.support.ethos_u import compile_for, needs_vela
from tests.support.tflite_files import needs_tflite, reference
from tests.support.tflite_networks import small_network

pytestmark = [needs_vela, needs_tflite]
SEPARATE = "separate_io_regions=true\n"


@pytest.mark.parametrize("options", ["", SEPARATE], ids=["one-region", "own-regions"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_same_integers(name: str, options: str) -> None:
    case = small_network()
    emulator = Emulator(compile_for(name, case.data, options))
    assert emulator.configuration is CONFIGURATIONS[name]
    run = reference(case.data)
    for seed in range(2):
        x = np.random.default_rng(seed).integers(-128, 128, case.inputs[0].shape, np.int8)
        for output, array in zip(emulator.run([x]), run(x), strict=True):
            np.testing.assert_array_equal(output.reshape(array.shape), array)


def test_the_network_is_cut_into_stripes_and_tiles() -> None:
    _, commands = decode(compile_for("ethos-u55-128", small_network().data).command_stream)
    names = [command.name for command in commands]
    assert names.count("CONV") > 10
    assert any(command.name == "IFM_BASE2" and command.value for command in commands)
