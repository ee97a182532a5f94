"""`edgecompile demo`: train, quantize, compile for three targets, execute everything, one table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompile.cli import ui

if TYPE_CHECKING:
    from edgecompile.demo import DemoRow

_HEADERS = (
    "TARGET",
    "TYPE",
    "ACCURACY",
    "MAX ERROR",
    "FLASH BYTES",
    "ARENA BYTES",
    "INSTRUCTIONS",
    "µs ON HOST",
)


@click.command("demo")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Keep the artifacts in this folder.")
@ui.json_option
def command(output: Path | None, as_json: bool) -> None:
    """Train a small network on handwritten digits, quantize it, compile both for three targets, execute all.

    Where an emulator is missing, the row says which one and how to install it.
    """
    from edgecompile.demo import run_demo

    rows = run_demo(output, ui.step)
    ui.finish({"rows": [asdict(row) for row in rows]}, _describe(rows), as_json)


def _describe(rows: tuple[DemoRow, ...]) -> str:
    executed = [row for row in rows if not row.skipped]
    lines = [ui.table(_HEADERS, map(_cells, executed))] if executed else []
    lines += [f"{row.target:<10}  {row.dtype:<7}  skipped: {row.skipped}" for row in rows if row.skipped]
    return "\n".join(lines)


def _cells(row: DemoRow) -> tuple[str, ...]:
    figures = (
        (row.accuracy, ".1%"),
        (row.max_error, ".1e"),
        (row.flash_bytes, ","),
        (row.arena_bytes, ","),
        (row.instructions, ","),
        (row.host_us, ",.1f"),
    )
    return (
        row.target,
        row.dtype,
        *("-" if value is None else format(value, style) for value, style in figures),
    )
