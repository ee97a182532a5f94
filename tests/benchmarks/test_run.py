"""The command line, and what becomes of a network that fails."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import run
from benchmarks.host import compare
from benchmarks.networks import Network
from benchmarks.run import TARGETS, main, parse_arguments
from edgecompile.errors import InputError, InternalError, Problem, UnsupportedError

ROW = {"ours_us": 2.0, "peer": "onnxruntime", "peer_us": 4.0, "ratio_iqr": [0.4, 0.6], "bound_us": None}


def test_defaults_are_everything() -> None:
    options = parse_arguments([])
    assert options.targets == list(TARGETS)
    assert (options.threads, options.dtype, options.models, options.json) == (
        [1],
        ["float32", "int8"],
        [],
        None,
    )
    assert "onnxruntime" in options.peers


def test_quick_is_this_machine_only_unless_targets_are_named() -> None:
    assert parse_arguments(["--quick", "--untuned"]).targets == ["host"]
    assert parse_arguments(["--quick", "--targets", "cortex-m4"]).targets == ["cortex-m4"]


def test_lists_are_separated_by_commas() -> None:
    words = ["--threads", "1,2", "--models", "a,b", "--dtype", "int8", "--peers", "litert", "x.onnx"]
    options = parse_arguments(words)
    assert (options.threads, options.models, options.dtype) == ([1, 2], ["a", "b"], ["int8"])
    assert options.peers == ["onnxruntime", "litert"]
    assert options.files == ["x.onnx"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threads", "0"], "'0' is no list of numbers from 1 on"),
        (["--dtype", "int4"], "'int4' is none of float32, int8"),
        (["--peers", "nobody"], "'nobody' is none of onnxruntime"),
    ],
)
def test_bad_values_are_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """`main` without measuring anything: every network takes 2 µs, and 4 µs in onnxruntime.

    A copy in int8 is only named.
    """

    def describe(path: Path) -> Network:
        if path.stem == "broken":
            raise InputError(Problem("EC3001", "not an ONNX file", str(path)))
        return Network(path, "int8" if path.stem.endswith("_qdq") else "float32", 1000, 4000)

    def build(network: Network, folder: Path, threads: int, tuned: bool, records: Path | None) -> Network:
        if network.name == "unsupported":
            raise UnsupportedError(Problem("EC4010", "no such operator", str(network.path)))
        return network

    def time(build: Network, threads: int, *_: Any) -> dict[str, Any]:
        if threads == 3:
            raise InternalError(Problem("EC1003", "measuring crashed"))
        return ROW | {
            "ratio_to_onnxruntime": 0.5,
            "other_peers": {"ncnn": {"ratio": 0.8}, "x": {"error": "no"}},
        }

    def count(network: Network, target: str, tuned: bool, records: Path | None) -> dict[str, Any]:
        if network.name == "odd":
            raise RuntimeError("a class of its own")
        return {"instructions": 3000, "ratio": None}

    machine = SimpleNamespace(peaks={"float32": 1e9, "int8": 0.0})
    monkeypatch.setattr(run, "Machine", lambda folder: machine)
    monkeypatch.setattr(run, "describe", describe)
    monkeypatch.setattr(run, "quantized_copy", lambda network, folder: folder / f"{network.name}_qdq.onnx")
    monkeypatch.setattr(run, "build_for_host", build)
    monkeypatch.setattr(run, "time_on_host", time)
    monkeypatch.setattr(run, "count_on", count)
    monkeypatch.setattr(run, "onnxruntime_overhead_us", lambda rounds: 1.5)
    return monkeypatch


def test_a_result_has_rows_for_threads_and_targets(
    bench: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "result.json"
    words = ["a.onnx", "--threads", "1,2", "--targets", "host,cortex-m4"]
    words += ["--dtype", "float32", "--json", str(output)]
    assert main(words) == 0
    result = json.loads(output.read_text())
    assert (result["tuned"], result["onnxruntime_overhead_us"]) == (True, 1.5)
    assert [(row["model"], row["threads"], row["ratio_to_onnxruntime"]) for row in result["rows"]] == [
        ("a", 1, 0.5),
        ("a", 2, 0.5),
    ]
    assert [(row["target"], row["instructions"]) for row in result["instructions"]] == [("cortex-m4", 3000)]
    means = "geometric mean of the ratios, 2 float32: to onnxruntime 0.50, to the best of all runtimes 0.80"
    assert means in capsys.readouterr().out


def test_a_network_that_fails_is_a_row_and_not_the_end(bench: pytest.MonkeyPatch, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    files = [str(tmp_path / f"{name}.onnx") for name in ("broken", "unsupported", "odd", "good")]
    words = ["--threads", "1,3", "--targets", "host,cortex-a72"]
    words += ["--dtype", "float32", "--json", str(output)]
    assert main([*files, *words]) == 1
    result = json.loads(output.read_text())
    rows = [(row["model"], row.get("threads"), row.get("error", "")[:13]) for row in result["rows"]]
    assert rows == [
        ("broken", None, "error[EC3001]"),
        ("unsupported", 1, "error[EC4010]"),
        ("odd", 1, ""),
        ("odd", 3, "error[EC1003]"),
        ("good", 1, ""),
        ("good", 3, "error[EC1003]"),
    ]
    counts = [(row["model"], row.get("error")) for row in result["instructions"]]
    assert counts == [("unsupported", None), ("odd", "a class of its own"), ("good", None)]
    assert str(tmp_path) not in output.read_text()


@pytest.mark.parametrize(
    ("dtypes", "names"), [("float32", ["a"]), ("int8", ["a_qdq"]), ("float32,int8", ["a", "a_qdq"])]
)
def test_a_network_is_measured_in_the_types_asked_for(
    dtypes: str, names: list[str], bench: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output = tmp_path / "result.json"
    assert main(["a.onnx", "--dtype", dtypes, "--targets", "host", "--json", str(output)]) == 0
    assert [row["model"] for row in json.loads(output.read_text())["rows"]] == names


def test_usage_errors_are_told_before_anything_is_measured(
    bench: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["a.onnx", "--targets", "cortex-m44"]) == 2
    assert "did you mean 'cortex-m4'" in capsys.readouterr().err


def test_ratios_to_each_peer() -> None:
    times = {"edgecompile": [2.0, 3.0], "onnxruntime": [4.0, 4.0], "litert": [1.0, 1.0]}
    row = compare(times, {"openvino": "cannot read it"})
    assert (row["ours_us"], row["peer"], row["peer_us"]) == (2.5, "onnxruntime", 4.0)
    assert row["ratio_to_onnxruntime"] == pytest.approx(0.625)
    assert row["ratio_iqr"] == pytest.approx([0.5625, 0.6875])
    assert row["other_peers"]["litert"]["ratio"] == pytest.approx(2.5)
    assert row["other_peers"]["openvino"] == {"error": "cannot read it"}
