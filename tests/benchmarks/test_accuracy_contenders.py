"""All ways to quantize give a network that computes about the same, from the same samples."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy_contenders import CONTENDERS, _Reader
from edgecompile.passes.quantize.measure import Ratio
from edgecompile.passes.quantize.observe import Executor
from tests.passes.quantize.networks import noise, prepared_cnn


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_the_result_is_quantized_and_about_the_same(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    model = prepared_cnn()
    samples = noise(model, 12)
    quantized = CONTENDERS[name](model, samples)
    assert "QuantizeLinear" in {node.op_type for node in quantized.graph.graph}
    assert "QuantizeLinear" not in {node.op_type for node in model.graph.graph}
    before, after, ratio = Executor(model), Executor(quantized, exact=True), Ratio()
    for sample in samples:
        ratio.add(before(sample)["prob"], after(sample)["prob"])
    assert ratio.decibels > 15
    assert capfd.readouterr().out == ""


def test_a_reader_gives_a_range_of_samples() -> None:
    reader = _Reader([{"x": np.array([float(k)], np.float32)} for k in range(5)])
    reader.set_range(2, 4)
    found = [reader.get_next() for _ in range(3)]
    assert [one and float(one["x"][0]) for one in found] == [2.0, 3.0, None]
    assert len(reader) == 5
