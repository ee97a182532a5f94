"""Layers whose weights can be stored in 4 bits."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.passes.prove import relative_error, run_model
from edgecompile.passes.quantize.weight_layers import (
    find_layers,
    levels,
    notes_on_float_weights,
    store_inputs_first,
)
from tests.passes.quantize.networks import graph, noise, prepared
from tests.support.matrix_networks import transformer
from tests.support.passes import weights


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("y = MatMul(w, x)", "its second operand is no constant float32 matrix"),
        ("y = Gemm<transA=1>(x, w)", "its first operand is constant or transposed"),
        ("y = MatMul(x, b)", "its second operand is no constant float32 matrix"),
        ("y = Mul(x, w)", "4 bits are for matrix products"),
    ],
)
def test_what_stays_float_is_explained(body: str, why: str) -> None:
    dims = "1,32,32" if "(x, b)" in body else "32,32"
    model = graph(f"float[32,32] x => float[{dims}] y", body, weights(w=(32, 32), b=(1, 32, 32)))
    assert not find_layers(model.graph.graph, ())
    (node,) = model.graph.graph
    (note,) = notes_on_float_weights(model.graph.graph, ())
    assert note == f"{node.name} ({node.op_type}) keeps its 1024 float weights: {why}"


def test_small_layers_and_named_ones_stay_float() -> None:
    body, texts = "h = MatMul(x, w) y = MatMul(h, v)", weights(w=(16, 64), v=(64, 8))
    inner = graph("float[1,16] x => float[1,8] y", body, texts).graph.graph
    (layer,) = find_layers(inner, ())
    assert layer.inputs[1] is not None
    assert layer.inputs[1].name == "w"
    assert not find_layers(inner, [str(layer.name)])
    (note,) = notes_on_float_weights(inner, [str(layer.name)])
    assert note.endswith("keeps its 1024 float weights: as asked for")


def test_layers_wait_for_those_that_they_depend_on() -> None:
    inner = prepared(transformer(width=32, layers=1)).graph.graph
    steps = levels(inner, find_layers(inner, ()))
    assert [[str(node.name).removeprefix("layer0/") for node in step] for step in steps] == [
        ["query", "key", "value"], ["project"], ["up"], ["down"],
    ]  # fmt: skip


def test_transposed_weights_are_stored_inputs_first() -> None:
    before = graph(
        "float[2,40] x, float[30] b => float[2,30] y",
        "y = Gemm<transB=1, alpha=2.0>(x, w, b)",
        weights(w=(30, 40)),
    )
    after = before.copy()
    (node,) = after.graph.graph
    store_inputs_first(node)
    assert node.inputs[1] is not None
    assert node.inputs[1].shape == (40, 30)
    for sample in noise(before, 2):
        (expected,), (got,) = run_model(before, sample), run_model(after, sample)
        assert relative_error(expected, got) < 1e-6
        assert np.abs(got).max() > 0
