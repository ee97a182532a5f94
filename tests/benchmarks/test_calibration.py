"""What calibration costs: rows, bars and the yardstick."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import calibration
from tests.passes.quantize.networks import noise, prepared_cnn

Row = dict[str, Any]


def row(ratio: float, megabytes: float) -> Row:
    found: Row = {"network": "net", "samples": 128, "ours_s": 1.4, "onnxruntime_s": 1.0, "ratio": ratio}
    return found | {"peak_mb": megabytes, "bar": {"largest_ratio": 1.5, "largest_mb": 1500.0}}


@pytest.mark.parametrize(
    ("ratio", "megabytes", "met"), [(1.5, 1500, True), (1.51, 10, False), (1.0, 1501, False)]
)
def test_time_and_memory_must_hold(ratio: float, megabytes: float, met: bool) -> None:
    assert calibration.is_met(row(ratio, megabytes)) is met
    assert calibration.render([row(ratio, megabytes)]).endswith("met" if met else "missed")


def test_the_yardstick_computes_every_tensor() -> None:
    model = prepared_cnn()
    (sample,) = noise(model, 1)
    found = calibration._everything_exposed(model)(sample)
    assert set(found) == {value.name for node in model.graph.graph for value in node.outputs}


def test_peak_memory_is_in_megabytes() -> None:
    assert 50 < calibration._peak_megabytes() < 100_000
