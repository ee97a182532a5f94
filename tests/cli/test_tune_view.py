"""What a user sees of a tuning session."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgecompile.cli import tune_view
from edgecompile.cli.tune_view import failures, headers, rows, seconds_left, summary, watching
from edgecompile.tuning.rerank import Reranked
from edgecompile.tuning.session import Budget, Progress
from edgecompile.tuning.tune import Tuned

Capture = pytest.CaptureFixture[str]

PROGRESS = Progress(
    task=0,
    trials=[16, 0],
    default=[2e-6, None],
    best=[1e-6, None],
    failures={"noisy": 2, "build": 1},
    seconds=4.0,
    untuned=2e-6,
    latency=1e-6,
    measured=16,
    share=0.5,
    devices=[],
)
TUNED = Tuned(("conv", "pool"), (40, 30), "seconds", "local", PROGRESS, ((), ()))
COMPARED = replace(TUNED, reranked=(Reranked("conv", {}, 1.25, True),))


def test_rows_of_kernels() -> None:
    assert rows(TUNED) == [
        ("conv", "16", "40", "2.00 us", "1.00 us", "2.00x"),
        ("pool", "0", "30", "-", "-", "-"),
    ]
    assert len(headers(TUNED)) == 6


def test_what_was_compared_in_the_network_has_a_column() -> None:
    assert headers(COMPARED)[-1] == "NETWORK"
    assert [row[-1] for row in rows(COMPARED)] == ["1.25x", "-"]


def test_the_whole_in_a_line() -> None:
    assert summary(TUNED, Budget(trials=32)) == (
        "16 trials, 240 a minute, 1.00 us, 2.00x as fast as untuned, 50% of what is expected, 0m 04s left"
    )
    assert summary(replace(TUNED, comparing="conv"), Budget()) == "comparing candidates in the network: conv"
    assert failures(TUNED) == "failed: 2 noisy, 1 build"


def test_what_is_left() -> None:
    assert seconds_left(Budget(), 16, 4.0) is None
    assert seconds_left(Budget(seconds=10.0, trials=160), 16, 4.0) == 6.0
    assert seconds_left(Budget(trials=8), 16, 4.0) == 0.0


def test_without_a_terminal_lines_become_rarer(capsys: Capture) -> None:
    with watching(Budget(), as_json=False) as notify:
        for measured in (8, 12, 16):
            notify(replace(TUNED, progress=replace(PROGRESS, measured=measured)))
        notify(replace(TUNED, comparing="conv"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["8", "16", "comparing"]
    assert lines[0].endswith("failed: 2 noisy, 1 build")


def test_events_for_other_tools(capsys: Capture) -> None:
    with watching(Budget(), as_json=True) as notify:
        notify(TUNED)
        notify(replace(TUNED, comparing="conv"))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(event["event"], event["comparing"]) for event in events] == [("batch", ""), ("compare", "conv")]
    assert events[0]["progress"]["trials"] == [16, 0]


def test_on_a_terminal_the_table_has_as_many_lines_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    many = Tuned(("k",) * 40, (9,) * 40, "seconds", "local", _many(40), ((),) * 40)
    console = Console(width=100, height=20, record=True)
    console.print(tune_view._Screen(many, Budget()))
    lines = console.export_text().splitlines()
    assert len(lines) <= 20
    assert any(line.startswith("> k") for line in lines)
    assert any(line.startswith("  and 27 more") for line in lines)


def _many(count: int) -> Progress:
    return replace(PROGRESS, task=30, trials=[1] * count, default=[None] * count, best=[None] * count)
