"""`edgecompile logs`: files of tuning records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecompile.cli import ui

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgecompile.tuning.database import Database
    from edgecompile.tuning.record import Damage

_SOURCES = click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
_OUTPUT = click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="File to write.",
)


_HEADERS = ("WORKLOAD", "TARGET", "TRIALS", "FAILED", "BEST", "METRIC", "WHAT")
# Where curves are read off, in trials.
_POINTS = (8, 16, 32, 64, 128, 256)
_CURVE_HEADERS = ("WORKLOAD", "TARGET", "TRIALS", *map(str, _POINTS), "LAST", "CURVE", "WHAT")


@click.group("logs")
def command() -> None:
    """Show, join, repair and choose from files of tuning records.

    SOURCES are .jsonl files, or folders of them.
    """


@command.command("show")
@_SOURCES
@click.option("--curves", is_flag=True, help="Show the speed-up over the default after 8, 16, ... trials.")
@ui.json_option
def show(sources: tuple[Path, ...], curves: bool, as_json: bool) -> None:
    """List what was measured: for each kernel and target the trials, the failures and the best figure."""
    from edgecompile.tuning.database import Database

    database = Database.open(*sources)
    rows = _rows(database)
    headers, cells = (_CURVE_HEADERS, _curve_cells) if curves else (_HEADERS, _cells)
    text = ui.table(headers, map(cells, rows))
    record = {"workloads": rows, "damages": [str(damage) for damage in database.damages]}
    ui.finish(record, "\n".join([text, *_told(database.damages)]), as_json)


@command.command("merge")
@_SOURCES
@_OUTPUT
@ui.json_option
def merge_files(sources: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Write the union of SOURCES, every record once."""
    from edgecompile.tuning.maintain import merge

    count, damages = merge(sources, output)
    _finish_writing(output, count, damages, as_json)


@command.command("repair")
@click.argument("file", type=click.Path(path_type=Path))
@ui.json_option
def repair_file(file: Path, as_json: bool) -> None:
    """Leave out the lines of FILE that cannot be read; they are kept in FILE.damaged."""
    from edgecompile.tuning.maintain import repair

    count, damages = repair(file)
    _finish_writing(file, count, damages, as_json)


@command.command("export")
@_SOURCES
@_OUTPUT
@click.option("--best", default=3, show_default=True, help="Best trials of each kernel.")
@click.option("--others", default=16, show_default=True, help="Further trials of each kernel, by chance.")
@ui.json_option
def export_records(sources: tuple[Path, ...], output: Path, best: int, others: int, as_json: bool) -> None:
    """Write the best trials, and some others that teach a cost model what is slow."""
    from edgecompile.tuning.database import Database
    from edgecompile.tuning.maintain import select, write_records

    database = Database.open(*sources)
    count = write_records(select(database, best, others), output)
    _finish_writing(output, count, database.damages, as_json)


def _rows(database: Database) -> list[dict[str, Any]]:
    from edgecompile.tuning.curves import improvements
    from edgecompile.tuning.selection import speed_up

    keys = dict.fromkeys((trial.workload, trial.target, trial.metric) for trial in database.trials)
    rows = []
    for workload, target, metric in keys:
        trials = database.of(workload, target, metric)
        best = database.best(workload, target, metric)
        known = database.workloads.get(workload)
        rows.append(
            {
                "workload": workload,
                "target": target,
                "metric": metric,
                "trials": len(trials),
                "failed": sum(trial.value is None for trial in trials),
                "best": None if best is None else best.value,
                "curve": improvements(map(speed_up, trials)),
                "candidate": None if best is None else best.candidate,
                "description": None if known is None else known.description,
            }
        )
    return rows


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    value, seconds = row["best"], row["metric"] == "seconds"
    best = "-" if value is None else f"{value * 1e6:.2f} us" if seconds else f"{value:,.0f}"
    counts = (str(row["trials"]), str(row["failed"]))
    return row["workload"][:12], row["target"], *counts, best, row["metric"], _what(row)


def _curve_cells(row: dict[str, Any]) -> tuple[str, ...]:
    from edgecompile.tuning.curves import best_after, sparkline

    curve, trials = row["curve"], row["trials"]
    reached = [best_after(curve, point) if point <= trials else None for point in _POINTS]
    figures = ["-" if one is None else f"{one:.2f}" for one in [*reached, best_after(curve, trials)]]
    return row["workload"][:12], row["target"], str(trials), *figures, sparkline(curve, trials), _what(row)


def _what(row: dict[str, Any]) -> str:
    return "" if row["description"] is None else str(row["description"].get("name", ""))


def _told(damages: Sequence[Damage]) -> Iterable[str]:
    return (f"damaged  {damage}" for damage in damages)


def _finish_writing(path: Path, count: int, damages: Sequence[Damage], as_json: bool) -> None:
    record = {"output": str(path), "records": count, "damages": [str(damage) for damage in damages]}
    ui.finish(record, "\n".join([f"wrote    {path}, {count} records", *_told(damages)]), as_json)
