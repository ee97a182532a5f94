"""Tuning a small network on this machine: records, resumption, and their use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edgecompile.cli.main import main
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.errors import BudgetError, UnsupportedError
from edgecompile.tuning.database import Database
from edgecompile.tuning.journal import Journal, read_journal
from edgecompile.tuning.record import Json, Trial
from edgecompile.tuning.session import Budget
from edgecompile.tuning.tune import JOURNAL, Tuned, TuneOptions, list_tasks, tune
from edgecompile.verify import verify_artifact
from tests.support.graphs import model
from tests.support.networks import save, small_cnn

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(small_cnn(), tmp_path_factory.mktemp("tuning") / "cnn.onnx"))


def options(records: Path, trials: int, target: str = "host") -> TuneOptions:
    return TuneOptions(find_target(target), records, budget=Budget(trials), rerank=False)


def test_every_trial_is_written_down_and_nothing_gets_slower(network: str, tmp_path: Path) -> None:
    told: list[Tuned] = []
    result = tune(network, options(tmp_path, 24), told.append)
    contents = read_journal(tmp_path / JOURNAL)
    trials = [record for record in contents.records if isinstance(record, Trial)]
    assert len(trials) == 24 == result.progress.done == told[-1].progress.done
    assert not contents.damages
    assert result.progress.latency <= result.progress.untuned
    # On a busy machine a figure may scatter.
    assert {trial.failure for trial in trials} <= {None, "noisy"}
    assert {trial.target for trial in trials} == {"host"}
    assert all(trial.features and trial.baseline for trial in trials)


def test_a_session_goes_on_where_it_was(network: str, tmp_path: Path) -> None:
    tune(network, options(tmp_path, 8))
    before = {trial.identity for trial in Database.open(tmp_path).trials}
    again = tune(network, options(tmp_path, 8))
    trials = Database.open(tmp_path).trials
    assert before < {trial.identity for trial in trials}
    candidates = [(trial.workload, json.dumps(trial.candidate)) for trial in trials]
    assert len(candidates) == len(set(candidates)) == 16 == again.progress.done


def test_an_emulated_target_is_tuned_by_instructions_the_same_way_each_time(
    network: str, tmp_path: Path
) -> None:
    records = []
    for name in "ab":
        result = tune(network, options(tmp_path / name, 16, "cortex-a72"))
        assert result.metric == "instructions"
        records.append((tmp_path / name / JOURNAL).read_bytes())
        values = [trial.value for trial in Database.open(tmp_path / name).trials]
        assert all(value and value == int(value) for value in values)
    assert records[0] == records[1]


def test_compile_uses_the_best_record(network: str, tmp_path: Path) -> None:
    """A record that is faster than all others decides, and the result is verified."""
    choice = [task for task in list_tasks(network, options(tmp_path, 1)) if len(task.task.candidates) > 9]
    records = [
        Trial(
            task.task.workload.key, "host", "seconds", task.task.candidates[9], 1e-9, "me", {}, baseline=2e-9
        )
        for task in choice
    ]
    with Journal(tmp_path / "records" / JOURNAL) as journal:
        journal.append(records)
    chosen = CompileOptions(find_target("host"), records=tmp_path / "records")
    result = compile_model(network, chosen, tmp_path / "net.edge")
    report = result.report["tuning"]
    assert len(report["by_record"]) == len(records) > 0
    assert {entry["speed_up"] for entry in report["by_record"]} == {2.0}
    assert report["stale"] == []
    verify_artifact(result.artifact)


def test_records_of_plans_that_are_no_more_are_stale(network: str, tmp_path: Path) -> None:
    task = list_tasks(network, options(tmp_path, 1))[0].task
    with Journal(tmp_path / "r" / JOURNAL) as journal:
        journal.append([Trial(task.workload.key, "host", "seconds", {"rows": 999}, 1e-9, "me", {})])
    chosen = CompileOptions(find_target("host"), records=tmp_path / "r")
    report = compile_model(network, chosen, tmp_path / "net.edge").report["tuning"]
    assert len(report["stale"]) == 1
    assert report["by_record"] == []


def test_a_network_without_a_choice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(model("agraph (float[1, 8] x) => (float[1, 8] y) { y = Relu(x) }").to_bytes())
    with pytest.raises(UnsupportedError, match=r"error\[EC4501\] there is nothing to tune"):
        list_tasks(str(path), options(tmp_path, 1))


def test_the_verb(network: str, tmp_path: Path, capsys: Capture) -> None:
    records = tmp_path / "records"
    arguments = ["tune", network, "-t", "host", "--records", str(records), "--seed", "3"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "CANDIDATES" in capsys.readouterr().out
    assert not records.exists()
    assert main([*arguments, "--trials", "8"]) == 0
    shown = capsys.readouterr()
    assert "SPEED-UP" in shown.out
    assert "8 trials" in shown.err
    assert main([*arguments, "--trials", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "seconds"
    assert main([*arguments, "--time", "soon"]) == 2
    assert "error[EC2501] bad option value at '--time': 'soon' is not a time" in capsys.readouterr().err


def write_records(network: str, folder: Path, score: Callable[[str, Json], float]) -> CompileOptions:
    """Records by which the candidates with the highest score are best, and how to compile by them.

    It follows from the name of the kernel, and the knobs.
    """
    with Journal(folder / "some.jsonl") as journal:
        for task in [found.task for found in list_tasks(network, options(folder, 1))]:
            most = max(task.candidates, key=partial(score, str(task.workload.description["name"])))
            journal.append([Trial(task.workload.key, "host", "seconds", most, 1.0, "me", {})])
    return CompileOptions(find_target("host"), records=folder)


def test_records_are_not_used_where_only_without_them_the_network_fits(network: str, tmp_path: Path) -> None:
    """Larger tiles are longer code."""
    large = write_records(
        network, tmp_path / "large", lambda name, knobs: knobs.get("rows", 0) * knobs.get("columns", 0)
    )
    plain = compile_model(network, replace(large, tuned=False), tmp_path / "plain.edge")
    needed = plain.artifact.manifest.memory
    free = compile_model(network, large, tmp_path / "free.edge")
    assert free.artifact.manifest.memory.flash > needed.flash
    tight = replace(large, max_flash=needed.flash)
    result = compile_model(network, tight, tmp_path / "tight.edge")
    assert result.artifact.manifest.memory == needed
    said = "the tuning records were not used, because with them the network does not fit the flash of host"
    assert result.report["notes"][-1].startswith(f"{said}: it needs")
    with pytest.raises(BudgetError, match=r"EC6001.*does not fit the flash of host"):
        compile_model(network, replace(tight, max_flash=1024), tmp_path / "small.edge")
    assert not (tmp_path / "small.edge").exists()


def test_where_records_need_too_much_ram_those_of_the_layers_at_its_peak_are_not_used(
    network: str, tmp_path: Path
) -> None:
    """Blocks of gathered inputs: one of them is large, and all others are small."""

    def score(name: str, knobs: Json) -> float:
        block = float(knobs.get("block", 0) * (knobs.get("source") == "gather"))
        return block if name.startswith("ConvNhwc+Add") else -block

    long = write_records(network, tmp_path / "long", score)
    free = compile_model(network, long, tmp_path / "free.edge")
    in_use, manifest = free.report["arena_in_use"], free.artifact.manifest
    assert max(in_use) == manifest.memory.arena_lower_bound
    assert len(in_use) == len(manifest.steps)
    borders = sum(tensor.nbytes for tensor in (*manifest.inputs, *manifest.outputs))
    tight = replace(long, max_ram=manifest.memory.arena + borders - 1)
    result = compile_model(network, tight, tmp_path / "tight.edge")
    peak = manifest.steps[in_use.index(max(in_use))].layers
    said = (
        f"the tuning records of {', '.join(sorted(peak))} were not used, because with them the network does"
    )
    assert result.report["notes"][-1].startswith(said)
    tuned = [set(entry["layers"]) for entry in result.report["tuning"]["by_record"]]
    assert len(tuned) == len(free.report["tuning"]["by_record"]) - 1 > 0
    assert not set(peak).intersection(*tuned)
    verify_artifact(result.artifact)
