"""Render the results in docs/pruning.md from benchmarks/results/pruning.json.

    python -m benchmarks.pruning_page

What stands above the mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.markdown import markdown_table, write_results
from benchmarks.pruning import cells

PAGE = Path(__file__).parent.parent / "docs" / "pruning.md"
RESULTS = Path(__file__).parent / "results" / "pruning.json"
_COLUMNS = ("network", "contender", "asked", "MACs left", "drop or speed", "bar")


def main() -> int:
    record: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    write_results(PAGE, render(record.get("rows", [])))
    return 0


def render(rows: list[dict[str, Any]]) -> str:
    """What stands below the mark: one table."""
    return markdown_table(_COLUMNS, map(cells, rows), ("network", "contender", "bar")) + "\n"


if __name__ == "__main__":
    sys.exit(main())
