"""Operators on the HTP of several versions: the emulator against onnxruntime on the quantized network."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.passes.prove import generate_inputs, run_model
from tests.support.integer_networks import NETWORKS
from tests.support.qualcomm import emulated, needs_qnn, output_step, prepared

pytestmark = needs_qnn

# The HTP has tables and roots of its own for these.
_FUNCTIONS = {"softmax": 6, "softmax of channels": 6}
_STEPS = 3


@pytest.mark.parametrize("version", [68, 73, 75])
def test_operators_differ_by_some_steps_at_most(version: int) -> None:
    models = {name: define() for name, define in NETWORKS.items()}
    feeds = {name: generate_inputs(model.inputs, 3) for name, model in models.items()}
    outputs = emulated({name: prepared(model) for name, model in models.items()}, feeds, version)
    steps = {
        name: float(np.abs(outputs[name] - run_model(model, feeds[name])[0]).max()) / output_step(model)
        for name, model in models.items()
    }
    wrong = {name: round(got, 1) for name, got in steps.items() if got > _FUNCTIONS.get(name, _STEPS) + 0.1}
    assert not wrong
