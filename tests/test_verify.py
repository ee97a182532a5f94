"""Comparing what a device computed with the reference."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecompile.core.artifact import open_artifact
from edgecompile.errors import VerificationError
from edgecompile.verify import compare, reference_values, verify_artifact
from tests.support.artifacts import (
    SAMPLES,
    Array,
    InProcessDevice,
    build_artifact,
    hidden_of,
    install_device,
    network_of,
)


def wrong_at_the_end(x: Array) -> Array:
    """The right result but for one element of the last sample."""
    result = network_of(x)
    result[-1, 0, 2] += 3.0
    return result


def test_the_right_result_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    install_device(monkeypatch, InProcessDevice())
    report = verify_artifact(artifact)
    assert report.verification.passed
    assert report.verification.level == "executed-on-device"
    assert report.verification.samples == SAMPLES
    assert report.outputs[0].same_class == SAMPLES
    assert open_artifact(artifact.path).verification() == report.verification


def test_a_wrong_result_names_output_place_and_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    install_device(monkeypatch, InProcessDevice(wrong_at_the_end))
    with pytest.raises(VerificationError) as caught:
        verify_artifact(artifact)
    message = str(caught.value)
    assert "error[EC9001] output 'y' on here differs from the reference at 'index [4, 0, 2]'" in message
    assert "allowed 0.0001" in message
    assert "Fix: find the layer with --per-layer." in message
    assert caught.value.exit_code == 9
    recorded = artifact.verification()
    assert recorded is not None
    assert not recorded.passed


def test_a_large_tolerance_accepts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    install_device(monkeypatch, InProcessDevice(wrong_at_the_end))
    assert verify_artifact(artifact, tolerance=100.0).verification.max_error > 1e-4


def test_a_noisy_reference_allows_four_times_its_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    install_device(monkeypatch, InProcessDevice(wrong_at_the_end))
    monkeypatch.setattr("edgecompile.verify.reference_noise", lambda _: (25.0,))
    assert verify_artifact(artifact).verification.tolerance == 100.0
    monkeypatch.setattr("edgecompile.verify.reference_noise", lambda _: (1e-6,))
    with pytest.raises(VerificationError, match=r"allowed 0\.0001"):
        verify_artifact(artifact)


def test_per_layer_compares_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    install_device(monkeypatch, InProcessDevice())
    layers = verify_artifact(artifact, per_layer=True).layers
    assert [layer.layers for layer in layers] == [("/fc",), ("/relu",)]
    assert all(layer.max_error < 1e-6 for layer in layers)


def test_per_layer_names_the_first_layer_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    device = InProcessDevice(lambda x: network_of(x) * 1.5, lambda x: hidden_of(x) * 1.5)
    install_device(monkeypatch, device)
    with pytest.raises(
        VerificationError, match=r"first layer that differs is /fc \(kernel net_fc, error 0\.5\)"
    ):
        verify_artifact(artifact, per_layer=True)


def test_error_is_relative_to_the_range_of_the_reference() -> None:
    expected = np.array([[0.0, 200.0]], np.float32)
    check = compare("y", np.array([[1.0, 200.0]], np.float32), expected)
    assert check.max_error == pytest.approx(1 / 200)
    assert (check.worst, check.got, check.expected) == ((0, 0), 1.0, 0.0)


def test_a_reference_of_zeros_makes_the_error_absolute() -> None:
    assert compare("y", np.full((1, 2), 0.25, np.float32), np.zeros((1, 2), np.float32)).max_error == 0.25


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (math.nan, math.nan, True),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
        (math.inf, 1.0, False),
        (1.0, math.inf, False),
    ],
)
def test_nan_and_infinity_match_themselves_only(got: float, expected: float, same: bool) -> None:
    pair = [np.array([[value, 1.0]], np.float32) for value in (got, expected)]
    assert compare("y", *pair).max_error == (0.0 if same else sys.float_info.max)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_])
def test_integers_must_be_equal(dtype: type) -> None:
    ones: Array = np.ones((2, 3), dtype)
    zeros: Array = np.zeros((2, 3), dtype)
    assert compare("y", ones, ones).max_error == 0.0
    assert compare("y", ones, zeros).max_error == sys.float_info.max


def test_an_empty_output_is_right() -> None:
    empty = np.zeros((2, 0), np.float32)
    assert compare("y", empty, empty).max_error == 0.0


def test_reference_values_are_those_of_the_graph(tmp_path: Path) -> None:
    artifact = build_artifact(tmp_path / "net.edge")
    x = np.ones((1, 4), np.float32)
    model = (artifact.path / "model.onnx").read_bytes()
    values = reference_values(model, {"x": x}, ["hidden", "y", "hidden"])
    np.testing.assert_allclose(values["hidden"], hidden_of(x), rtol=1e-6)
    np.testing.assert_allclose(values["y"], network_of(x), rtol=1e-6)
