"""Operators on the HTP of several versions: the emulator against onnxruntime on the quantized network."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.backends.qualcomm.constraints import TABLE
from edgecompile.passes.prove import generate_inputs, run_model
from tests.support.integer_networks import NETWORKS
from tests.support.qualcomm import emulated, needs_qnn, npu, output_step, prepared

pytestmark = needs_qnn

# So many steps of the result: one step of a function's input may be more than one of its result.
_FUNCTIONS = {"softmax": 6, "softmax of channels": 6}
_STEPS = 4


@pytest.mark.parametrize("version", [68, 75])
def test_operators_differ_by_some_steps_at_most(version: int) -> None:
    defined = {name: define() for name, define in NETWORKS.items()}
    ready = {name: prepared(model) for name, model in defined.items()}
    models = {
        name: model
        for name, model in defined.items()
        if not TABLE.problems(ready[name].graph.graph, npu(version), "")
    }
    assert len(models) >= len(defined) - 2
    feeds = {name: generate_inputs(model.inputs, 3) for name, model in models.items()}
    outputs = emulated({name: ready[name] for name in models}, feeds, version)
    steps = {
        name: float(np.abs(outputs[name] - run_model(model, feeds[name])[0]).max()) / output_step(model)
        for name, model in models.items()
    }
    wrong = {name: round(got, 1) for name, got in steps.items() if got > _FUNCTIONS.get(name, _STEPS) + 0.1}
    assert not wrong
