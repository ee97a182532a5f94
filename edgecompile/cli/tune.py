"""`edgecompile tune`: find the fastest kernels for a network on a device."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecompile.cli import ui
from edgecompile.cli.options import (
    constant_option,
    device_option,
    import_options,
    input_option,
    trust_option,
)
from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.tuning.tune import Tuned, TuneOptions

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@click.command("tune")
@click.argument("model")
@click.option("--target", "-t", required=True, metavar="NAME", help="What to tune for.")
@click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=Path("records"),
    show_default=True,
    metavar="DIR",
    help="Folder of records; a session goes on from those that are there.",
)
@click.option("--trials", type=click.IntRange(1), help="Stop after so many candidates.")
@click.option("--time", "time_limit", metavar="TIME", help="Stop after a time, e.g. 90s, 30m or 2h.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="As for compile.")
@click.option("--seed", default=0, show_default=True, help="For what is drawn by chance.")
@click.option("--dry-run", is_flag=True, help="List the kernels and the sizes of their design spaces.")
@input_option
@constant_option
@trust_option
@device_option
@ui.json_option
def command(
    model: str,
    target: str,
    records: Path,
    trials: int | None,
    time_limit: str | None,
    threads: int,
    seed: int,
    dry_run: bool,
    inputs: tuple[str, ...],
    constants: tuple[str, ...],
    trust_pickle: bool,
    device: str | None,
    as_json: bool,
) -> None:
    """Measure candidate kernels of MODEL on a device, and remember the fastest.

    Without --trials or --time a session ends when no kernel gets faster any more. It can be stopped at any
    moment; everything measured is in the records, which `edgecompile compile --records DIR` uses.
    """
    from edgecompile.core.target import find_target
    from edgecompile.tuning.session import Budget
    from edgecompile.tuning.tune import TuneOptions, tune

    imported = import_options(inputs, constants, trust_pickle)
    seconds = parse_time(time_limit)
    options = TuneOptions(
        find_target(target),
        records,
        device,
        Budget(trials) if seconds is None else Budget(trials, seconds),
        threads,
        seed,
        imported.input_shapes,
        imported.constants,
        imported.trust_pickle,
    )
    if dry_run:
        _list_tasks(model, options, as_json)
        return
    with _live(as_json) as notify:
        result = tune(model, options, notify)
    record = _record(result) | {"records": str(records)}
    ui.finish(record, "\n".join(_describe(result, records)), as_json)


def parse_time(text: str | None) -> float | None:
    """Seconds from "90", "90s", "30m" or "2h". Raises UsageError (EC2501)."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
    if found is None:
        why, fix = f"'{text}' is not a time", "write seconds (90s), minutes (30m) or hours (2h)"
        raise UsageError(Problem("EC2501", "bad option value", "--time", why, fix))
    return float(found.group(1)) * _UNITS[found.group(2) or "s"]


def _list_tasks(model: str, options: TuneOptions, as_json: bool) -> None:
    from edgecompile.tuning.tune import list_tasks

    with ui.working(f"importing {Path(model).name}"):
        tasks = [task.task for task in list_tasks(model, options)]
    rows = [(str(t.workload.description["name"]), t.weight, len(t.candidates)) for t in tasks]
    record = {"tasks": [dict(zip(("name", "calls", "candidates"), row, strict=True)) for row in rows]}
    ui.finish(record, ui.table(("KERNEL", "CALLS", "CANDIDATES"), rows), as_json)


@contextmanager
def _live(as_json: bool) -> Iterator[Callable[[Tuned], None]]:
    """Show how far tuning is: JSON events, a live line on a terminal, or a plain line now and then."""
    if as_json:
        yield lambda tuned: click.echo(json.dumps({"event": "batch"} | _record(tuned)), err=True)
        return
    if not sys.stderr.isatty():
        yield _plain_line()
        return
    from rich.console import Console

    with Console(stderr=True).status("measuring the built-in kernels ...") as status:
        yield lambda tuned: status.update(_line(tuned))


def _plain_line() -> Callable[[Tuned], None]:
    shown = 0

    def show(tuned: Tuned) -> None:
        nonlocal shown
        if tuned.progress.done >= 2 * shown:
            shown = tuned.progress.done
            click.echo(_line(tuned), err=True)

    return show


def _line(tuned: Tuned) -> str:
    progress = tuned.progress
    rate = 60 * progress.done / progress.seconds if progress.seconds else 0
    failed = "".join(f", {count} {kind}" for kind, count in progress.failures.items())
    return (
        f"{progress.done} trials ({rate:.0f} a minute{failed}), {_figure(progress.latency, tuned.metric)}, "
        f"{_speed_up(progress.untuned, progress.latency)} as fast as untuned: {tuned.names[progress.task]}"
    )


def _describe(tuned: Tuned, records: Path) -> list[str]:
    progress, metric = tuned.progress, tuned.metric
    columns = (tuned.names, progress.trials, tuned.sizes, progress.default, progress.best)
    rows = [
        (name, trials, size, _value(default, metric), _value(best, metric), _speed_up(default, best))
        for name, trials, size, default, best in zip(*columns, strict=True)
    ]
    headers = ("KERNEL", "TRIALS", "OF", "UNTUNED", "BEST", "SPEED-UP")
    return [
        ui.table(headers, rows),
        "",
        f"kernels  {_figure(progress.untuned, tuned.metric)} untuned, "
        f"{_figure(progress.latency, tuned.metric)} now: {_speed_up(progress.untuned, progress.latency)}",
        f"device   {tuned.device}",
        f"records  {records}",
        f"next     edgecompile compile ... --records {records}",
    ]


def _record(tuned: Tuned) -> dict[str, Any]:
    return asdict(tuned)


def _value(value: float | None, metric: str) -> str:
    return "-" if value is None else _figure(value, metric)


def _figure(value: float, metric: str) -> str:
    return f"{value * 1e6:,.2f} us" if metric == "seconds" else f"{value:,.0f} instructions"


def _speed_up(before: float | None, after: float | None) -> str:
    return f"{before / after:.2f}x" if before and after else "-"
