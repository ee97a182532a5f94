"""Render docs/npu-results.md from benchmarks/results/npu.json.

    python -m benchmarks.npu_page

What stands above the mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.markdown import write_results
from benchmarks.npu import PARTS, module_of
from benchmarks.npu_work import Row

PAGE = Path(__file__).parent.parent / "docs" / "npu-results.md"
RESULTS = Path(__file__).parent / "results" / "npu.json"
_TITLES = {"ethos-u": "Arm Ethos-U", "htp": "Qualcomm Hexagon HTP", "core-ml": "Core ML"}


def main() -> int:
    record: Row = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    write_results(PAGE, render(record))
    return 0


def render(record: Row) -> str:
    """What stands below the mark: a table for each part."""
    sections = []
    for part in PARTS:
        rows = [row for row in record.get("rows", []) if row["part"] == part]
        if rows:
            sections += [f"## {_TITLES[part]}", module_of(part).render(rows)]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.get("versions", {}).items()))
    if versions:
        sections.append(f"Measured with {versions}.")
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    sys.exit(main())
