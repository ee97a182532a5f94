"""Rows about pruning: how they are judged, drawn and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pruning, pruning_page
from benchmarks.markdown import MARK
from benchmarks.pruning import BAR_SHARE, judged, pareto, render

Row = dict[str, Any]


def row(contender: str, share: float, drop: float, network: str = "kws_dscnn") -> Row:
    found: Row = {"part": "accuracy", "network": network, "contender": contender, "share": share}
    return found | {"macs": share - 0.01, "before": 0.9, "after": 0.9 - drop / 100, "drop": drop}


@pytest.mark.parametrize(
    ("drop", "baseline", "limit", "met"),
    [(1.5, 40.0, 2.0, True), (2.5, 40.0, 2.0, False), (0.9, 1.6, 0.8, False)],
)
def test_the_bar_is_the_drop_and_half_of_the_baselines(
    drop: float, baseline: float, limit: float, met: bool
) -> None:
    rows = [row("l1", BAR_SHARE, baseline), row("l1", 0.5, 90), row("default", BAR_SHARE, drop)]
    found = [judged(one, rows) for one in rows]
    assert [one.get("bar") for one in found] == [None, None, limit]
    assert found[2]["met"] is met


@pytest.mark.parametrize(("drop", "met"), [(19.0, True), (21.0, False)])
def test_recovery_alone_halves_the_drop(drop: float, met: bool) -> None:
    rows = [row("l1", BAR_SHARE, 40.0), row("l1, recovered", BAR_SHARE, drop)]
    assert (judged(rows[1], rows)["bar"], judged(rows[1], rows)["met"]) == (20.0, met)


def test_a_pareto_plot_has_a_line_for_each_contender() -> None:
    rows = [row("l1", 0.7, 40), row("default", 0.7, 1), row("default", 0.5, 6), row("l1", 0.7, 1, "other")]
    text = pareto(rows, "kws_dscnn")
    assert text.count("<polyline") == 2
    assert "kws_dscnn" in text


def test_speed_is_a_ratio_and_accuracy_a_drop() -> None:
    speed: Row = {"part": "speed", "network": "n", "contender": "cortex-a72", "share": 0.5, "macs": 0.49}
    lines = render([row("l1", 0.7, 40.25), speed | {"ratio": 0.5, "bar": 0.65, "met": True}]).splitlines()
    assert "40.25 points" in lines[1]
    assert "0.500 of the instructions" in lines[2]
    assert lines[2].endswith("0.65 met")


def test_rows_of_a_part_replace_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pruning.json"
    speed: Row = {"part": "speed", "network": "n", "contender": "t", "share": 0.5, "macs": 0.5, "ratio": 1.0}
    file.write_text(json.dumps({"rows": [row("l1", 0.7, 40), speed | {"bar": 0.6, "met": True}]}))
    monkeypatch.setattr(pruning, "PARTS", {"speed": lambda folder: [speed | {"bar": 0.6, "met": False}]})
    assert pruning.main(["--parts", "speed", "--json", str(file)]) == 1
    rows = json.loads(file.read_text())["rows"]
    assert [(one["part"], one.get("met")) for one in rows] == [("accuracy", None), ("speed", False)]


def test_what_is_written_by_hand_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, results = tmp_path / "pruning.md", tmp_path / "pruning.json"
    page.write_text(f"By hand.\n\n{MARK}\n\nold\n")
    results.write_text(json.dumps({"rows": [row("l1", 0.7, 40)]}))
    monkeypatch.setattr(pruning_page, "PAGE", page)
    monkeypatch.setattr(pruning_page, "RESULTS", results)
    assert pruning_page.main() == 0
    text = page.read_text()
    assert text.startswith(f"By hand.\n\n{MARK}\n")
    assert "old" not in text
    assert "| kws_dscnn | l1 | 0.7 | 0.690 | 40.00 points |  |" in text
