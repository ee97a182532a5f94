"""Render the results in docs/pruning.md from benchmarks/results/pruning.json.

    python -m benchmarks.pruning_page

What stands above the mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.pruning import cells

PAGE = Path(__file__).parent.parent / "docs" / "pruning.md"
RESULTS = Path(__file__).parent / "results" / "pruning.json"
MARK = "<!-- results -->"
_COLUMNS = ("network", "contender", "asked", "MACs left", "drop or speed", "bar")


def main() -> int:
    record: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    above = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(above + MARK + "\n\n" + render(record.get("rows", [])), encoding="utf-8")
    return 0


def render(rows: list[dict[str, Any]]) -> str:
    """What stands below the mark: one table."""
    rule = ["---" if column in ("network", "contender", "bar") else "---:" for column in _COLUMNS]
    lines = [_COLUMNS, rule, *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
