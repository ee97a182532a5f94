"""Observation by execution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

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


@pytest.mark.parametrize("axis", [1, 2])
def test_large_tensors_are_counted_in_part(axis: int) -> None:
    """No extreme value is missed, and the distribution and the means are the same."""
    shape = "1,2,40000" if axis == 1 else "1,40000,2"
    model = graph(f"float[{shape}] x => float[{shape}] y", "y = Neg(x)")
    samples = noise(model, 3)
    seen = observe(model, samples, Observation(["x", "y"], averaged=["y"], axes={"x": axis, "y": axis}))
    values = np.concatenate([sample["x"] for sample in samples])
    found, other = seen.histograms["x"], seen.histograms["y"]
    assert (found.low, found.high) == (values.min(), values.max()) == (-other.high, -other.low)
    assert found.total == other.total == 3 * 80_000 // 10
    median = found.centers[np.searchsorted(np.cumsum(found.counts), found.total / 2)]
    assert abs(median - np.median(values)) < 0.03
    np.testing.assert_allclose(seen.mean("y"), -values.mean(axis=(0, 3 - axis)), atol=0.03)


def test_other_elements_are_counted_in_the_next_sample() -> None:
    model = graph("float[1,1,16384] x => float[1,1,16384] y", "y = Neg(x)")
    sample = {"x": np.arange(16384, dtype=np.float32).reshape(1, 1, -1)}
    seen = observe(model, [sample, sample], Observation(["x"])).histograms["x"]
    np.testing.assert_array_equal(seen.counts, 16384 // np.count_nonzero(seen.counts))


@given(
    arrays.arrays(
        np.float32, arrays.array_shapes(min_dims=0, max_dims=4), elements=st.floats(-9, 9, width=32)
    ),
    st.integers(0, 3),
)
def test_channels_of_any_axis(values: np.ndarray, axis: int) -> None:
    axis = min(axis, max(values.ndim - 1, 0))
    seen = Observation(["x"], averaged=["x"], bounded=["x"], axes={"x": axis})
    seen.add(seen.look({"x": values}, 0))
    rows = (
        np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1) if values.ndim else values.reshape(1, 1)
    )
    np.testing.assert_array_equal(seen.greatest["x"], np.abs(rows).max(axis=1))
    np.testing.assert_allclose(seen.mean("x"), rows.mean(axis=1), atol=1e-5)
    assert seen.histograms["x"].total == values.size


def test_executing_exactly_and_not() -> None:
    model = prepared_cnn()
    (sample,) = noise(model, 1)
    exact, usual = Executor(model, exact=True)(sample), Executor(model)(sample)
    np.testing.assert_allclose(exact["prob"], usual["prob"], atol=1e-5)


def test_few_samples_are_taken_ahead() -> None:
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
    assert max(ahead) <= 4


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
