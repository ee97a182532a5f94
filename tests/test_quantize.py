"""Quantizing whole networks: what comes out, what the report says, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgecompile.errors import InputError, UsageError
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from tests.support.networks import save, small_cnn

_SCORES = """
import numpy as np

def spread(network):
    return float(np.std(network(np.ones((2, 3, 12, 12), np.float32))))

def words(network):
    return "good"

def wrong(network):
    raise RuntimeError("no labels")
"""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A float network, calibration data beside it, and a module of scores."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "scores_of_quantize.py").write_text(_SCORES)
    data = np.random.default_rng(0).standard_normal((5, 3, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    return str(save(small_cnn(), tmp_path / "cnn.onnx"))


def options(**more: Any) -> QuantizeOptions:
    return QuantizeOptions(**{"calibrate": "data.npz"} | more)


def test_the_result_runs_and_is_reported(network: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    result = quantize_source(network, options(analyze=True), lambda *step: told.append(step))
    write_result(result, tmp_path / "q.onnx", tmp_path / "r.json")
    session = onnxruntime.InferenceSession(tmp_path / "q.onnx", providers=["CPUExecutionProvider"])
    (prob,) = session.run(None, {"x": np.zeros((1, 3, 12, 12), np.float32)})
    assert prob.sum() == pytest.approx(1, abs=0.02)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report == result.report
    assert (report["recipe"], report["samples"], report["layers_in_float"]) == ("int8", 5, [])
    assert report["outputs"]["prob"] > 20
    assert {one["layer"] for one in report["sensitivity"]} >= {"stem", "depthwise", "classifier"}
    assert all(tensor["scale"] > 0 for tensor in report["tensors"])
    assert ("calibrating", 5, 5) in told
    assert ("observing channels", 5, 5) in told


def test_layers_in_float_are_reported(network: str) -> None:
    report = quantize_source(network, options(keep_float=["pointwise"])).report
    assert report["layers_in_float"] == ["pointwise (Conv)"]


def test_an_unknown_layer_is_refused(network: str) -> None:
    with pytest.raises(UsageError) as caught:
        quantize_source(network, options(keep_float=["pointwize"]))
    assert "error[EC2323] there is no layer 'pointwize' at '--keep-float'" in str(caught.value)
    assert "did you mean 'pointwise'?" in str(caught.value)


def test_both_networks_are_scored(network: str) -> None:
    scores = quantize_source(network, options(evaluate="scores_of_quantize:spread")).report["evaluation"]
    assert scores["quantized"] == pytest.approx(scores["float"], abs=0.05)
    assert scores["difference"] == scores["quantized"] - scores["float"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("words", "error[EC3310] 'scores_of_quantize:words' gives no score"),
        ("wrong", "error[EC3308] 'scores_of_quantize:wrong' raised an exception"),
    ],
)
def test_a_score_of_no_use_is_refused(network: str, function: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        quantize_source(network, options(evaluate=f"scores_of_quantize:{function}"))
    assert message in str(caught.value)


def test_a_place_that_cannot_be_written(network: str, tmp_path: Path) -> None:
    result = quantize_source(network, options())
    with pytest.raises(InputError) as caught:
        write_result(result, tmp_path / "none" / "q.onnx")
    assert "error[EC3309] cannot write the result" in str(caught.value)


def test_data_for_another_network_are_refused(network: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 12, 12, 3), np.float32))
    with pytest.raises(InputError, match=r"x\.transpose\(0, 3, 1, 2\)"):
        quantize_source(network, options())
