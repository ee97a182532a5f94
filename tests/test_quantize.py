"""Quantizing whole networks: what comes out, what the report says, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper

from edgecompile.errors import InputError, UsageError
from edgecompile.passes.quantize.recipes import RECIPES
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from tests.support.networks import save, small_cnn

_SCORES = """
import numpy as np

def spread(network):
    return float(np.std(network(np.ones((2, 3, 12, 12), np.float32))))

def words(network):
    return "good"

def closeness(network):
    x = np.random.default_rng(1).standard_normal((8, 3, 12, 12)).astype(np.float32)
    CALLS.append(network(x))
    return 10000.0 * (1.0 - float(np.abs(CALLS[-1] - CALLS[0]).max()))

def worse_and_worse(network):
    CALLS.append(0)
    return -float(len(CALLS))

CALLS = []

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
    assert "error[EC3032] cannot write the result" in str(caught.value)


def test_data_for_another_network_are_refused(network: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 12, 12, 3), np.float32))
    with pytest.raises(InputError, match=r"x\.transpose\(0, 3, 1, 2\)"):
        quantize_source(network, options())


def test_a_score_that_holds_needs_no_float_layer(network: str) -> None:
    more = {"evaluate": "scores_of_quantize:spread", "max_accuracy_drop": 1.0}
    report = quantize_source(network, options(**more)).report
    assert report["mixed_precision"]["layers"] == []
    assert len(report["mixed_precision"]["trials"]) == 1
    assert report["layers_in_float"] == []
    assert not [note for note in report["notes"] if "favours" in note]


def test_layers_go_to_float_until_the_score_holds(network: str) -> None:
    """Samples are read once for all trials, and the most sensitive layers are taken."""
    told: list[str] = []
    plain = quantize_source(network, options(evaluate="scores_of_quantize:closeness")).report
    drop = -plain["evaluation"]["difference"]
    more = {"evaluate": "scores_of_quantize:closeness", "max_accuracy_drop": drop / 2, "analyze": True}
    result = quantize_source(network, options(**more), lambda task, done, total: told.append(task))
    report, mixed = result.report, result.report["mixed_precision"]
    assert mixed["layers"]
    assert mixed["float_score"] - mixed["score"] <= drop / 2
    assert report["evaluation"]["quantized"] == mixed["score"]
    assert [note for note in report["notes"] if "the final score favours the data" in note]
    assert mixed["trials"][0] == {"layers": [], "score": plain["evaluation"]["quantized"]}
    assert set(mixed["layers"]) <= {one["layer"] for one in report["sensitivity"]}
    assert all(any(entry.startswith(f"{layer} (") for entry in report["layers_in_float"])
               for layer in mixed["layers"])  # fmt: skip
    assert told.count("calibrating") == 5
    assert told.count("measuring sensitivity") == len(report["sensitivity"])
    assert len([task for task in told if task.startswith("scoring with")]) == len(mixed["trials"])


def test_a_score_out_of_reach_is_said(network: str) -> None:
    more = {"evaluate": "scores_of_quantize:worse_and_worse", "max_accuracy_drop": 0.5}
    with pytest.raises(InputError) as caught:
        quantize_source(network, options(**more))
    message = str(caught.value)
    assert "error[EC3401] no choice of layers in float keeps the drop within 0.5" in message
    assert "'scores_of_quantize:worse_and_worse'" in message


def test_a_drop_needs_a_score(network: str) -> None:
    with pytest.raises(UsageError) as caught:
        quantize_source(network, options(max_accuracy_drop=0.5))
    message = str(caught.value)
    assert (
        "error[EC2401] --evaluate is missing at '--max-accuracy-drop': the drop is one of a score" in message
    )
    assert "add --evaluate package.module:function" in message


@pytest.mark.parametrize("drop", [-0.1, float("nan"), float("inf")])
def test_a_drop_without_sense(network: str, drop: float) -> None:
    with pytest.raises(UsageError) as caught:
        quantize_source(network, options(max_accuracy_drop=drop, evaluate="scores_of_quantize:spread"))
    assert f"error[EC2402] a drop of {drop:g} cannot be reached at '--max-accuracy-drop'" in str(caught.value)
    assert "give 0 or more, in the units of the score" in str(caught.value)


def test_a_drop_is_for_static_recipes(network: str) -> None:
    name = next(name for name, recipe in RECIPES.items() if recipe.method != "static")
    more = {"recipe": name, "max_accuracy_drop": 0.5, "evaluate": "scores_of_quantize:spread"}
    with pytest.raises(UsageError) as caught:
        quantize_source(network, options(**more))
    assert "error[EC2403] layers cannot be kept in float by their score" in str(caught.value)
    assert f"recipe '{name}' has no such choice" in str(caught.value)


def test_patterns_of_zeros_are_reported(network: str, tmp_path: Path) -> None:
    message = small_cnn()
    for tensor in message.graph.initializer:
        if tensor.name == "w3":
            weights = numpy_helper.to_array(tensor).copy()
            weights[:, ::2] = 0
            tensor.CopyFrom(numpy_helper.from_array(weights, "w3"))
    report = quantize_source(str(save(message, tmp_path / "sparse.onnx")), options()).report
    assert report["sparse_layers"] == {"pointwise": {"pattern": "2:4", "kept": True}}


def test_zeros_that_rounding_made_are_no_pattern(network: str, tmp_path: Path) -> None:
    """One great weight a row, beside which the others are rounded to 0."""
    message = small_cnn()
    for tensor in message.graph.initializer:
        if tensor.name == "w3":
            weights = (
                numpy_helper.to_array(tensor) * np.float32(1e-4)
                + np.eye(8, dtype=np.float32)[..., None, None]
            )
            tensor.CopyFrom(numpy_helper.from_array(weights, "w3"))
    path = str(save(message, tmp_path / "rounded.onnx"))
    assert quantize_source(path, options()).report["sparse_layers"] == {}


def test_reconstruction_is_reported_by_block(network: str) -> None:
    told: list[tuple[str, int, int | None]] = []
    more = options(reconstruct=True, reconstruct_steps=3)
    report = quantize_source(network, more, lambda *step: told.append(step)).report
    found = report["reconstruction"]
    assert found["steps"] == 3
    assert [block["name"] for block in found["blocks"]] == ["stem to pointwise", "classifier"]
    assert all(0 < block["after"] <= block["before"] for block in found["blocks"])
    assert ("reconstructing", 1, 3) in told


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"reconstruct_steps": 3}, "error[EC2391] nothing is reconstructed in these steps"),
        (
            {"reconstruct_steps": 0, "reconstruct": True},
            "error[EC2391] 0 steps of reconstruction teach nothing at '--reconstruct-steps'",
        ),
        (
            {"reconstruct": True, "recipe": "dynamic-int8"},
            "error[EC2392] there is nothing to reconstruct at '--reconstruct': recipe 'dynamic-int8' has",
        ),
        (
            {"reconstruct": True, "max_accuracy_drop": 1.0, "evaluate": "scores_of_quantize:spread"},
            "error[EC2392] --max-accuracy-drop does not go with it at '--reconstruct'",
        ),
    ],
)
def test_reconstruction_that_cannot_be(network: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        quantize_source(network, options(**more))
    assert message in str(caught.value)


def test_reconstruction_needs_torch(network: str) -> None:
    script = f"""
import sys
sys.modules["torch"] = None
from edgecompile.cli.main import main
sys.exit(main(["quantize", {network!r}, "--calibrate", "data.npz", "--reconstruct"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 5
    assert "error[EC5391] reconstruction needs PyTorch at '--reconstruct'" in done.stderr
    assert "Fix: pip install 'edgecompile[torch]'." in done.stderr
