"""`edgecompile quantize` and `edgecompile compile --quantize` as typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgecompile.cli.main import main
from edgecompile.cli.quantize import parse_quantize
from tests.support.networks import save, small_cnn

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a network and data."""
    monkeypatch.chdir(tmp_path)
    save(small_cnn(), tmp_path / "cnn.onnx")
    data = np.random.default_rng(0).standard_normal((5, 3, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    return tmp_path


def test_quantize_says_what_it_wrote(folder: Path, capsys: Capture) -> None:
    assert main(["quantize", "cnn.onnx", "--calibrate", "data.npz", "--report", "r.json"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "wrote    cnn.int8.onnx"
    assert lines[1] == "recipe   int8, 5 samples"
    assert "in integers, 0 in float" in lines[2]
    assert "dB signal to quantization noise" in lines[3]
    assert printed.err.splitlines() == [
        "importing ...",
        "observing channels ...",
        "calibrating ...",
        "measuring sensitivity ...",
    ]
    assert (folder / "cnn.int8.onnx").is_file()
    assert json.loads((folder / "r.json").read_text())["samples"] == 5


def test_recipes_are_listed(capsys: Capture) -> None:
    assert main(["quantize", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["RECIPE", "int8", "int8-per-tensor"]
    assert main(["quantize", "--list", "--json"]) == 0
    assert "int8" in json.loads(capsys.readouterr().out)["recipes"]


def test_a_model_is_needed(capsys: Capture) -> None:
    assert main(["quantize"]) == 2
    assert "MODEL is missing" in capsys.readouterr().err


def test_samples_are_needed(capsys: Capture) -> None:
    assert main(["quantize", "cnn.onnx"]) == 2
    assert "error[EC2324] --calibrate is missing" in capsys.readouterr().err


def test_compiling_quantizes_first(folder: Path, capsys: Capture) -> None:
    words = ["compile", "cnn.onnx", "-t", "host", "--quantize", "int8", "--calibrate", "data.npz"]
    assert main([*words, "--verify", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["report"]["rounding"] == "float"
    assert not [note for note in record["report"]["notes"] if "computed in float" in note]
    assert (folder / "cnn.edge" / "lib" / "libcnn.a").is_file()


def test_compiling_with_activations_of_16_bits(folder: Path, capsys: Capture) -> None:
    words = ["compile", "cnn.onnx", "-t", "host", "--quantize", "int16x8", "--calibrate", "data.npz"]
    assert main([*words, "--verify", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    floats = [note for note in record["report"]["notes"] if "computed in float" in note]
    assert ["(Softmax)" in note for note in floats] == [True]
    assert record["verify"]["verification"]["passed"]


def test_options_of_quantization_need_a_recipe(capsys: Capture) -> None:
    assert main(["compile", "cnn.onnx", "-t", "host", "--calibrate", "data.npz"]) == 2
    message = capsys.readouterr().err
    assert "error[EC2325] --calibrate and --keep-float quantize at '--quantize': it is missing" in message
    assert "add --quantize int8" in message


def test_compiling_may_learn_how_weights_are_rounded() -> None:
    learned = {"recipe": "int8", "reconstruct": True, "reconstruct_steps": 5}
    assert parse_quantize("int8, reconstruct,reconstruct-steps=5") == learned
    assert parse_quantize("int4w") == {"recipe": "int4w"}


@pytest.mark.parametrize("word", ["fast", "reconstruct-steps=many", ""])
def test_words_of_quantization_that_nobody_knows(word: str, capsys: Capture) -> None:
    assert main(["compile", "cnn.onnx", "-t", "host", "--quantize", f"int8,{word}"]) == 2
    message = capsys.readouterr().err
    assert f"error[EC2325] cannot read '{word}' at '--quantize'" in message
    assert "write it like --quantize int8,reconstruct,reconstruct-steps=50" in message


def test_layers_kept_for_a_score_are_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    (folder / "steady_score.py").write_text("def score(network):\n    return 1.0\n")
    words = ["quantize", "cnn.onnx", "--calibrate", "data.npz", "--max-accuracy-drop", "0.5"]
    assert main([*words, "--evaluate", "steady_score:score"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "mixed    0 layers to float, found by 1 scores for a drop of at most 0.5" in lines
    assert "score    1.0000 (float 1.0000)" in lines
    assert main(words) == 2
    assert "error[EC2401] --evaluate is missing at '--max-accuracy-drop'" in capsys.readouterr().err


def test_learned_rounding_is_counted_by_block(capsys: Capture) -> None:
    words = ["quantize", "cnn.onnx", "--calibrate", "data.npz", "--reconstruct", "--reconstruct-steps", "2"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert re.search(r"^rounding learned: [012] of 2 blocks come closer to float$", printed.out, re.MULTILINE)
    assert "reconstructing ..." in printed.err.splitlines()
    assert main(["quantize", "cnn.onnx", "--calibrate", "data.npz", "--reconstruct-steps", "2"]) == 2
    assert "error[EC2391] nothing is reconstructed in these steps" in capsys.readouterr().err
