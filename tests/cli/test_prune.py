"""`edgecompile prune` and `edgecompile compile --prune` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecompile.cli.main import main
from edgecompile.cli.pruning import parse_prune
from edgecompile.errors import UsageError
from tests.support.networks import save, small_cnn

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a network and data."""
    monkeypatch.chdir(tmp_path)
    save(small_cnn(), tmp_path / "cnn.onnx")
    data = np.random.default_rng(0).standard_normal((16, 3, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    return tmp_path


def test_prune_says_what_it_reached(folder: Path, capsys: Capture) -> None:
    words = ["prune", "cnn.onnx", "--keep-macs", "0.5", "--calibrate", "data.npz", "--report", "r.json"]
    assert main(words) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "wrote    cnn.pruned.onnx"
    assert lines[1].endswith(", 16 samples")
    assert lines[2].startswith("macs ")
    assert lines[2].endswith(" left")
    assert any(line.startswith("proof    the cut is exact") for line in lines)
    assert "recovering ..." in printed.err.splitlines()
    assert (folder / "cnn.pruned.onnx").stat().st_size < (folder / "cnn.onnx").stat().st_size
    assert json.loads((folder / "r.json").read_text())["costs"]["macs"]["left"] <= 0.5


def test_what_cannot_be_reached_is_said_and_is_an_error_only_when_asked(capsys: Capture) -> None:
    words = ["prune", "cnn.onnx", "--keep-params", "0.001"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "reached 0." in printed
    assert "asked 0.001" in printed
    assert "frozen   classifier (1): Softmax 'softmax' reads across all of it" in printed
    assert main([*words, "--hard", "--json"]) == 4
    record = json.loads(capsys.readouterr().out)
    assert record["problems"][0]["code"] == "EC4539"


def test_sensitivity_is_drawn_and_written(folder: Path, capsys: Capture) -> None:
    words = ["prune", "cnn.onnx", "--sensitivity", "s.svg", "--calibrate", "data.npz", "--method", "wanda"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == ["wrote    s.svg", "wrote    s.json"]
    assert (folder / "s.svg").read_text().startswith("<svg")
    assert {"name", "units", "errors"} <= set(json.loads((folder / "s.json").read_text())[0])
    assert main([*words[:3], "missing/s.svg", *words[4:]]) == 3
    assert "EC3032" in capsys.readouterr().err
    assert main([*words[:3], "s.json", *words[4:]]) == 2
    assert "error[EC2054] the picture and its figures would be one file" in capsys.readouterr().err


def test_layers_removed_and_zeros_set_are_said(capsys: Capture) -> None:
    assert main(["prune", "cnn.onnx", "--remove-layer", "residual", "--sparse", "2:4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "removed  residual" in lines
    assert lines[-1].startswith("sparse   2:4 in 1 layers: dense kernels compute zeros like any other number")


def test_methods_are_listed(capsys: Capture) -> None:
    assert main(["prune", "--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names[0] == "METHOD"
    assert {"l1", "gamma", "wanda", "thinet", "lasso", "reconstruction", "fisher", "movement"} <= set(names)
    assert main(["prune", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["methods"]["taylor"]["needs"] == "samples, PyTorch"


def test_a_model_and_a_goal_are_needed(capsys: Capture) -> None:
    assert main(["prune"]) == 2
    assert "MODEL is missing" in capsys.readouterr().err
    assert main(["prune", "cnn.onnx"]) == 2
    assert "EC2524" in capsys.readouterr().err


def test_one_call_prunes_quantizes_compiles_and_verifies(capsys: Capture) -> None:
    words = ["compile", "cnn.onnx", "--target", "host", "--prune", "macs=0.5,method=wanda"]
    assert main([*words, "--quantize", "int8", "--calibrate", "data.npz", "--verify", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["pruning"]["costs"]["macs"]["left"] <= 0.5
    assert record["verify"]
    assert record["artifact"].endswith("cnn.edge")


def test_samples_may_be_for_pruning_alone(capsys: Capture) -> None:
    words = ["compile", "cnn.onnx", "--target", "host", "--calibrate", "data.npz", "--prune", "params=0.7"]
    assert main(words) == 0
    assert "recovery least-squares" in capsys.readouterr().out


def test_words_of_prune() -> None:
    options = parse_prune("macs=0.5,latency=0.6, method=l1,recover=none,rounds=3,hard,sparse=2:4")
    assert options.sparse == "2:4"
    assert options.keep == {"macs": 0.5, "latency": 0.6}
    assert (options.method, options.recovery, options.rounds, options.hard) == ("l1", "none", 3, True)


@pytest.mark.parametrize("text", ["", "macs", "macs=half", "mac=0.5", "hard=1", "rounds=two"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"EC2530.*write it like --prune macs=0\.5,method=l1"):
        parse_prune(text)
