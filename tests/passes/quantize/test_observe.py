"""Observation by execution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgecompile.errors import InputError, UnsupportedError
from edgecompile.passes.quantize.observe import Executor, Observation, Sample, observe
from tests.passes.quantize.networks import graph, noise, prepared_cnn


def test_inputs_inner_tensors_and_outputs_are_seen() -> None:
    model = graph("float[1,3,2] x => float[1,3,2] y", "a = Relu(x) y = Neg(a)")
    sample = {"x": np.array([[[-1, 2], [3, -4], [5, 6]]], np.float32)}
    seen = observe(model, [sample, sample], Observation(["x", "a", "y"], averaged=["a"], bounded=["x"]))
    assert {n: (h.low, h.high, h.total) for n, h in seen.histograms.items()} == {
        "x": (-4, 6, 12),
        "a": (0, 6, 12),
        "y": (-6, 0, 12),
    }
    np.testing.assert_allclose(seen.mean("a"), [1, 1.5, 5.5])
    np.testing.assert_allclose(seen.greatest["x"], [2, 4, 6])


def test_large_tensors_are_counted_in_part() -> None:
    """No extreme value is missed, and the distribution is the same."""
    model = graph("float[1,2,40000] x => float[1,2,40000] y", "y = Neg(x)")
    samples = noise(model, 3)
    seen = observe(model, samples, Observation(["x", "y"], averaged=["y"])).histograms
    values = np.concatenate([sample["x"] for sample in samples])
    assert (seen["x"].low, seen["x"].high) == (values.min(), values.max())
    assert seen["x"].low == -seen["y"].high
    assert seen["x"].total == seen["y"].total == 3 * 80_000 // 5
    median = seen["x"].centers[np.searchsorted(np.cumsum(seen["x"].counts), seen["x"].total / 2)]
    assert abs(median - np.median(values)) < 0.03


def test_executing_exactly_and_not() -> None:
    model = prepared_cnn()
    (sample,) = noise(model, 1)
    exact, usual = Executor(model, exact=True)(sample), Executor(model)(sample)
    np.testing.assert_allclose(exact["prob"], usual["prob"], atol=1e-5)


def test_samples_are_taken_one_at_a_time() -> None:
    model = graph("float[1,2] x => float[1,2] y", "y = Neg(x)")
    ahead: list[int] = []
    done = 0

    def stream() -> Iterator[Sample]:
        for k in range(50):
            ahead.append(k - done)
            yield {"x": np.full((1, 2), k, np.float32)}

    def progress(count: int) -> None:
        nonlocal done
        done = count

    observe(model, stream(), Observation(["y"]), progress)
    assert done == 50
    assert set(ahead) == {0}


def test_a_network_that_cannot_be_executed_is_refused() -> None:
    model = graph("float[1,2] x => float[1,2] y", "y = Neg(x)")
    next(iter(model.graph.graph)).domain = "unknown.domain"
    with pytest.raises(UnsupportedError) as caught:
        Executor(model)
    assert "error[EC4032] onnxruntime cannot execute the network" in str(caught.value)
    assert "replace the operator that it names" in str(caught.value)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        observe(graph("float[1,2] x => float[1,2] y", "y = Neg(x)"), [], Observation(["y"]))
    assert "error[EC3305] there are no calibration samples at '--calibrate'" in str(caught.value)
    assert "give at least one sample" in str(caught.value)


def test_a_network_that_overflows_is_named() -> None:
    model = graph("float[1,2] x => float[1,2] y", "a = Exp(x) y = Neg(a)")
    samples = [{"x": np.zeros((1, 2), np.float32)}, {"x": np.full((1, 2), 1e4, np.float32)}]
    with pytest.raises(InputError) as caught:
        observe(model, samples, Observation(["a"]))
    assert "the network computes NaN or infinity for calibration sample 1 at 'a'" in str(caught.value)
