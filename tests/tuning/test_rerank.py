"""The winner is the candidate that is fastest inside of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from edgecompile.core.target import find_target
from edgecompile.devices.open import open_device
from edgecompile.tuning import network as network_module
from edgecompile.tuning.cost_model import CostModel
from edgecompile.tuning.database import Database
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.network import NetworkBench, Variant
from edgecompile.tuning.record import Failure, Workload
from edgecompile.tuning.rerank import Rerank, Reranked, finalists, fingerprint, heavy
from edgecompile.tuning.search import Search
from edgecompile.tuning.session import Budget
from edgecompile.tuning.task import Task
from edgecompile.tuning.tune import TuneOptions, list_tasks, optimized_network, tune
from edgecompile.tuning.versions import tool_versions
from tests.support.networks import save, small_cnn

SIZE = 5


def search(name: str, values: Sequence[float | None], weight: int = 1) -> Search:
    """A task of 5 candidates whose figures by themselves are known."""
    candidates = [{"tile": place} for place in range(SIZE)]
    task = Task(Workload({"name": name}), candidates, np.zeros((SIZE, 1), np.float32), weight)
    search = Search(task, CostModel(), np.random.default_rng(0))
    search.record(dict(enumerate(values)))
    return search


@dataclass
class Network:
    """Seconds of a network: 1, and what each kernel's tile adds in `costs`; notes what it was asked."""

    costs: dict[str, list[float | Failure]]
    asked: list[list[Variant]] = field(default_factory=list)

    def compare(self, variants: Sequence[Variant]) -> tuple[list[float | Failure], str]:
        self.asked.append(list(variants))
        return [self._seconds(variant) for variant in variants], "me"

    def _seconds(self, variant: Variant) -> float | Failure:
        total = 1.0
        for key, candidate in variant.items():
            cost = self.costs[key][candidate["tile"]]
            if isinstance(cost, str):
                return cost
            total += cost
        return total


def phase(folder: Path, searches: Sequence[Search], network: Network) -> Rerank:
    records = folder / "session.jsonl"
    database = Database.open(folder) if records.exists() else Database()
    return Rerank(searches, network.compare, database, Journal(records), "host", {})


def test_what_is_fastest_in_the_network_wins_and_is_kept_for_the_next_kernel(tmp_path: Path) -> None:
    first, second = search("a", [10, 8, 8.1, 9, 8.2], weight=2), search("b", [4, 4.1, 3.9, 7, 3.8])
    keys = [one.task.workload.key for one in (first, second)]
    network = Network({keys[0]: [0.5, 0.4, 0.1, 9, 0.3], keys[1]: [0.2, 0.1, 0.2, 9, 0.2]})
    ran = phase(tmp_path, [second, first], network)
    told: list[str] = []
    done = ran.run(told.append)
    assert told == ["a", "b"]
    assert [(one.name, one.candidate, one.changed) for one in done] == [
        ("a", {"tile": 2}, True),
        ("b", {"tile": 1}, True),
    ]
    assert done[0].speed_up == pytest.approx(1.7 / 1.3)
    # The built-in one first, then the fastest by themselves; the second kernel sees the first one's winner.
    assert [variant[keys[0]]["tile"] for variant in network.asked[0]] == [0, 1, 2, 4]
    assert {variant[keys[0]]["tile"] for variant in network.asked[1]} == {2}
    assert ran.chosen == {keys[0]: {"tile": 2}, keys[1]: {"tile": 1}}


def test_what_was_compared_is_written_down_and_not_done_again(tmp_path: Path) -> None:
    one = search("a", [10, 8, 8.1, 8.2, 9])
    key = one.task.workload.key
    network = Network({key: [0.5, 0.4, 0.1, "wrong", 9]})
    before = phase(tmp_path, [one], network)
    expected = before.run(_ignore)
    before.journal.close()
    database = Database.open(tmp_path)
    assert database.of(key, "host", "seconds") == []
    trials = database.in_network(key, "host")
    assert [trial.candidate["tile"] for trial in trials] == [0, 1, 2, 3]
    assert {trial.network for trial in trials} == {fingerprint([one.task])}
    assert [trial.failure for trial in trials] == [None, None, None, "wrong"]
    assert phase(tmp_path, [one], network).run(_ignore) == expected
    assert len(network.asked) == 1


def test_without_a_figure_the_search_is_right(tmp_path: Path) -> None:
    one = search("a", [10, 8, 8.1, 8.2, 9])
    network = Network({one.task.workload.key: ["noisy"] * SIZE})
    assert phase(tmp_path, [one], network).run(_ignore) == [Reranked("a", {"tile": 1}, 1.0, False)]


def test_it_ends_when_the_time_is_over(tmp_path: Path) -> None:
    one = search("a", [10, 8, 8.1, 8.2, 9])
    assert phase(tmp_path, [one], Network({})).run(_ignore, lambda: True) == []


def test_who_is_compared() -> None:
    assert finalists(search("a", [10, 8, None, 8.7, 8.9])) == [0, 1, 3]
    assert finalists(search("a", [8, 9, 10])) == [0]
    assert finalists(search("a", [None, 8])) == [0]
    assert finalists(search("a", [])) == [0]


def test_small_kernels_are_left_alone() -> None:
    kernels = [search(str(value), [value]) for value in (1.0, 50.0, 3.0, 46.0)]
    assert [one.best_value for one in heavy(kernels)] == [50.0, 46.0]
    assert heavy([search("a", [])]) == []


def test_variants_of_a_network_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    """Variants are built by their candidates, take about the same, and are compared with the first."""
    target = find_target("host")
    tasks = [task.task for task in list_tasks(network, TuneOptions(target, tmp_path))]
    variant = {task.workload.key: task.candidates[-1] for task in tasks}
    model = optimized_network(network, TuneOptions(target, tmp_path))
    with NetworkBench(model, target) as bench, open_device(None, target) as device:

        def compare(*variants: Variant) -> list[float | Failure]:
            return bench.compare(variants, lambda work: (work(device), "here"))[0]

        figures = compare({}, variant)
        monkeypatch.setattr(network_module, "agrees", lambda got, expected: got is expected)
        assert compare({}, variant)[1] == "wrong"
        assert compare({}, {"unknown": {}}, {tasks[0].workload.key: {"no": "such"}})[0] != "build"
    assert all(figure == "noisy" or 0 < float(figure) < 1 for figure in figures)


def test_tuning_ends_with_the_network(network: str, tmp_path: Path) -> None:
    result = tune(network, TuneOptions(find_target("host"), tmp_path, budget=Budget(40)))
    trials = [trial for trial in Database.open(tmp_path).trials if trial.network]
    names = {one.name for one in result.reranked}
    assert bool(trials) == bool(names)
    assert all(trial.versions == tool_versions() for trial in trials)
    again = tune(network, TuneOptions(find_target("host"), tmp_path, budget=Budget(1), rerank=False))
    assert again.reranked == ()


def _ignore(name: str) -> None:
    """Nobody looks."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(small_cnn(), tmp_path_factory.mktemp("rerank") / "cnn.onnx"))
