"""Render docs/accuracy.md from benchmarks/results/accuracy.json and calibration.json.

    python -m benchmarks.accuracy_page

What stands above the mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import calibration
from benchmarks.accuracy import cells, label
from benchmarks.markdown import markdown_table, write_results

Row = dict[str, Any]

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
RESULTS = Path(__file__).parent / "results"
ACCURACY, CALIBRATION = "accuracy.json", "calibration.json"

_COLUMNS = (
    "recipe", "n", "float", "quantized", "drop", "95 % interval", "agreement, %", "SQNR, dB", "bar",
)  # fmt: skip
_CALIBRATION_COLUMNS = ("network", "samples", "edgecompile, s", "onnxruntime, s", "ratio", "peak, MB", "bar")
_WORDS = ("recipe", "network", "bar")


def main() -> int:
    write_results(PAGE, render(*load_results()))
    return 0


def load_results() -> tuple[Row, Row]:
    """What was measured of accuracy, and of calibration."""
    return _read(RESULTS / ACCURACY), _read(RESULTS / CALIBRATION)


def render(accuracy: Row, costs: Row) -> str:
    """What stands below the mark: a table for each network, then what calibration costs."""
    rows, sections = accuracy.get("rows", []), []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        sections += [
            f"## {network}",
            markdown_table(_COLUMNS, ([label(row), *cells(row)] for row in own), _WORDS),
        ]
        sections += [f"{label(row)} failed: {_one_line(row['error'])}" for row in own if "error" in row]
    if rows:
        versions = ", ".join(f"{name} {version}" for name, version in accuracy["versions"].items())
        sections.append(f"Measured with {versions}.")
    if costs.get("rows"):
        sections += [
            "## What calibration costs",
            markdown_table(_CALIBRATION_COLUMNS, calibration.lines(costs["rows"]), _WORDS),
        ]
    return "".join(f"{section}\n\n" for section in sections).rstrip("\n") + "\n"


def _read(path: Path) -> Row:
    found: Row = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
