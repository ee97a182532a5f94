"""Every trained network is cut at three ratios, runs, and computes what its masked original computes."""

from __future__ import annotations

import functools
import time
import tracemalloc

import pytest

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.groups import Dependencies
from edgecompile.passes.prune.separate_constants import SeparateConstants
from edgecompile.passes.quantize.prepare import preparing_passes
from tests.passes.prune.cutting import cut_and_prove, parameters, some_units
from tests.zoo.zoo import MODELS, SHAPES, model_path, needs_zoo

pytestmark = needs_zoo

# What share of the parameters is left when half of the units go; fixed front ends and states stay.
LEFT = {"basic_pitch_nmp": 0.8, "silero_vad_16k_sequence": 0.7, "mnist_lstm": 0.8}


@functools.cache
def prepared(name: str) -> tuple[Model, Dependencies]:
    passes = Pipeline((*preparing_passes(), SeparateConstants()))
    model, _ = import_through(str(model_path(name)), ImportOptions(SHAPES.get(name, {})), passes)
    return model, analyse(model)


@pytest.mark.parametrize("name", MODELS)
def test_a_trained_network_is_cut_and_proven(name: str) -> None:
    model, dependencies = prepared(name)
    before = parameters(model)
    for share in (0.3, 0.5, 0.75):
        pruned, proof = cut_and_prove(model, dependencies, some_units(dependencies, share))
        assert proof.exact, proof.why
        assert proof.holds, proof
        if share == 0.5:
            assert parameters(pruned) <= LEFT.get(name, 0.5) * before


def test_the_groups_of_mobilenet_are_found_in_no_time() -> None:
    model, _ = prepared("mobilenetv2_imagenet")
    tracemalloc.start()
    started = time.process_time()
    groups = analyse(model).groups
    assert time.process_time() - started < 20
    assert tracemalloc.get_traced_memory()[1] < 2e9
    tracemalloc.stop()
    assert sum(group.size for group in groups if not group.frozen) == 9128


def test_what_stays_whole_is_said() -> None:
    _, dependencies = prepared("silero_vad_16k_sequence")
    reasons = {group.name: group.frozen for group in dependencies.groups if group.frozen}
    assert reasons["/recurrent/LSTM"] == "it is tied to input 'h'"
