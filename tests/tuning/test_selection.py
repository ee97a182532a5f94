"""Which record decides, and what the report says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecompile.cli.tuned import describe_tuning
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.record import Record, Trial, Workload
from edgecompile.tuning.selection import Selection, select
from edgecompile.tuning.versions import tool_versions
from tests.support.graphs import model
from tests.support.records import TRIAL, WORKLOAD

KERNEL = Workload({"name": "Conv 3x3 -> 1x16x16x32"})
LIKE, OTHER = "Conv 3x3 -> 1x8x8x64", "Softmax -> 1x1000"


def written(folder: Path, *records: Record) -> Selection:
    with Journal(folder / "some.jsonl") as journal:
        journal.append(records)
    return select(find_target("host"), folder)


def trial(tile: int, value: float, **fields: Any) -> Trial:
    own = replace(TRIAL, workload=KERNEL.key, candidate={"tile": tile}, value=value, baseline=8.0)
    return replace(replace(own, versions=tool_versions()), **fields)


def test_what_was_fastest_in_a_network_comes_before_what_was_fastest_alone(tmp_path: Path) -> None:
    alone = [trial(0, 8.0), trial(1, 4.0), trial(2, 5.0)]
    within = [trial(1, 90.0, baseline=100.0, network="n"), trial(2, 80.0, baseline=100.0, network="n")]
    selection = written(tmp_path, KERNEL, *alone, *within)
    assert selection.trials == {KERNEL.key: alone[2]}
    assert selection.in_network == {KERNEL.key: 1.25}


def test_of_what_was_compared_twice_the_last_figure_counts(tmp_path: Path) -> None:
    first = [trial(1, 50.0, baseline=100.0, network="n"), trial(2, 90.0, baseline=100.0, network="n")]
    again = [trial(1, 95.0, baseline=100.0, network="n")]
    selection = written(tmp_path, KERNEL, trial(1, 4.0), trial(2, 5.0), *first, *again)
    assert selection.trials[KERNEL.key].candidate == {"tile": 2}


def test_a_record_in_a_network_is_enough(tmp_path: Path) -> None:
    within = trial(1, 90.0, baseline=100.0, network="n")
    assert written(tmp_path, KERNEL, trial(0, 8.0), within).trials == {KERNEL.key: within}


def test_what_the_rest_would_gain_is_what_kernels_like_it_gained(tmp_path: Path) -> None:
    selection = written(tmp_path, KERNEL, WORKLOAD, trial(1, 4.0), replace(TRIAL, value=1e-5))
    assert selection.gains == {"Conv 3x3": [1.0], "conv 3x3": [1.0]}
    assert selection.report()["expected_gain"] is None
    selection.built_in["a"] = LIKE
    assert selection.report()["expected_gain"] == 2.0
    selection.gains = {"Conv 3x3": [1.0], "Gemm": [0.0]}
    selection.built_in["b"] = OTHER
    assert selection.report()["expected_gain"] == pytest.approx(2**0.75, abs=1e-3)
    assert Selection({}, built_in={"a": LIKE}).report()["expected_gain"] is None


def test_other_versions_and_several_devices_are_named() -> None:
    trials = [trial(1, 4.0), trial(2, 4.0, device="ssh://other: some CPU")]
    trials.append(replace(trials[0], versions=tool_versions() | {"apache-tvm": "0.1"}))
    recorded = {str(place): one for place, one in enumerate(trials)}
    names, layers = dict.fromkeys(recorded, "k"), {key: ["n"] for key in recorded}
    selection = Selection({}, recorded=recorded, names=names, layers=layers, stale={"s": "old"})
    report = selection.report()
    version, devices = report["notes"]
    assert version == f"1 tuning records were made by apache-tvm 0.1; this is {tool_versions()['apache-tvm']}"
    assert devices == "tuning records of several devices: local: some CPU; ssh://other: some CPU"
    assert report["stale"][0]["kernel"] == "old"
    assert "tune it again" in report["stale"][0]["reason"]
    assert [entry["speed_up"] for entry in report["by_record"]] == [2.0] * 3


def test_a_kernel_without_a_choice_is_no_kernel_to_tune(tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    text = "agraph (float[64, 64] x, float[4] a) => (float[64, 64] y, float[4] z) { y = Relu(x) z = Neg(a) }"
    path.write_bytes(model(text).to_bytes())
    options = CompileOptions(find_target("host"), tuned=False)
    report = compile_model(str(path), options, tmp_path / "net.edge").report
    assert report["tuning"] == {
        "by_record": [],
        "built_in": ["Relu -> 64x64"],
        "stale": [],
        "expected_gain": None,
        "notes": [],
    }


def test_it_is_one_line_for_people() -> None:
    by_record = [{"device": "local: CPU"}]
    everything = {"by_record": by_record, "built_in": ["a", "b"], "stale": [], "expected_gain": 1.126}
    assert describe_tuning(everything) == [
        "tuning   1 kernels by record (local: CPU), 2 by the built-in choice: tuned about 1.13x as fast"
    ]
    assert describe_tuning({"built_in": ["a"]}) == [
        "tuning   0 kernels by record, 1 by the built-in choice: nobody knows what tuning would bring"
    ]
    assert describe_tuning({}) == []
    stale = {"stale": [{"kernel": "a"}], "notes": ["something"], "expected_gain": 1.0}
    assert describe_tuning(stale)[1:] == [
        "note: 1 kernels have records of another version; tune them again",
        "note: something",
    ]
