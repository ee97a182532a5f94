"""What becomes of results on docs/accuracy.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import accuracy, accuracy_page
from benchmarks.accuracy_page import PAGE, render
from benchmarks.markdown import MARK
from tests.benchmarks.test_accuracy import row
from tests.benchmarks.test_calibration import row as cost


def test_every_network_has_a_table() -> None:
    failed = {"network": "vww_mobilenet", "recipe": "int8", "error": "out of\nluck"}
    rows = [row("kws_dscnn", "int8"), row("kws_dscnn", "onnxruntime minmax"), failed]
    text = render(accuracy.merged({}, rows), {"rows": [cost(1.4, 600)]})
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {10, 8}
    expected = "| int8 | 100 | 90.00 | 90.00 | 0.00 | -0.50 to 0.50 | 97.00 | 20.0 | met |"
    assert expected in tables
    assert "int8 failed: out of luck" in text
    assert "| net | 128 | 1.40 | 1.00 | 1.40 | 600 | met |" in tables


def test_without_results_there_is_nothing() -> None:
    assert render({}, {}).strip() == ""


def test_what_is_written_by_hand_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "accuracy.md"
    page.write_text(f"By hand.\n\n{MARK}\n\nold\n")
    monkeypatch.setattr(accuracy_page, "PAGE", page)
    monkeypatch.setattr(accuracy_page, "RESULTS", tmp_path)
    accuracy_page.main()
    assert page.read_text().startswith(f"By hand.\n\n{MARK}\n")
    assert "old" not in page.read_text()


def test_the_page_shows_the_results_in_the_repository() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition(MARK)[2].lstrip("\n")
    assert shown == render(*accuracy_page.load_results())
