"""Pages in docs/ whose end is rendered from results; what stands above the mark is written by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

MARK = "<!-- results -->"


def write_results(page: Path, text: str) -> None:
    """Put `text` below the mark of `page`."""
    above = page.read_text(encoding="utf-8").partition(MARK)[0]
    page.write_text(f"{above}{MARK}\n\n{text}", encoding="utf-8")


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[str]) -> str:
    """A Markdown table; columns are aligned to the right but for those of `words`."""
    rule = ["---" if column in words else "---:" for column in columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *rows))
