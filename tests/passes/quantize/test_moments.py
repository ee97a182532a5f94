"""Second moments of tensors, collected sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.errors import InputError
from edgecompile.passes.quantize import moments
from edgecompile.passes.quantize.moments import Moments


def test_moments_are_the_sum_over_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_COLLECTED", 10)
    samples = np.random.default_rng(0).standard_normal((9, 1, 4, 6)).astype(np.float32)
    seen = Moments(["x", "x"])
    for sample in samples:
        seen.add(seen.look({"x": sample}, seen.samples))
    rows = samples.reshape(-1, 6).astype(np.float64)
    (found,) = seen.of("x")
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, rows.T @ rows, rtol=1e-12, atol=1e-12)
    assert (seen.samples, seen.names) == (9, ["x"])


def test_wide_tensors_are_cut_into_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "SLICE", 4)
    seen = Moments(["x"])
    seen.add(seen.look({"x": np.ones((2, 6), np.float32)}, seen.samples))
    first, second = seen.of("x")
    assert np.array_equal(first, np.full((4, 4), 2.0))
    assert np.array_equal(second, np.full((2, 2), 2.0))


def test_of_a_long_sample_some_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_ROWS", 5)
    seen = Moments(["x"])
    for _ in range(4):
        seen.add(seen.look({"x": np.arange(20.0, dtype=np.float32)[:, None]}, seen.samples))
    # four samples together show every row once
    assert seen.of("x")[0].item() == float((np.arange(20.0) ** 2).sum())


def test_what_is_not_finite_is_refused() -> None:
    seen = Moments(["hidden"])
    seen.add(seen.look({"hidden": np.ones((1, 2), np.float32)}, seen.samples))
    with pytest.raises(InputError) as caught:
        seen.add(seen.look({"hidden": np.array([[1.0, np.inf]], np.float32)}, seen.samples))
    message = "error[EC3351] the network computes NaN or infinity for calibration sample 1 at 'hidden'"
    assert message in str(caught.value)
