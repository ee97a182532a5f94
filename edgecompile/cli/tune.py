"""`edgecompile tune`: find the fastest kernels for a network on a device."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompile.cli import ui
from edgecompile.cli.options import (
    constant_option,
    devices_option,
    import_options,
    input_option,
    trust_option,
)
from edgecompile.cli.tune_view import duration, failures, figure, headers, rows, speed_up, watching
from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.core.target import Target
    from edgecompile.tuning.fleet_access import Access
    from edgecompile.tuning.lane import Use
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
@click.option(
    "--until", metavar="SHARE", help="Stop at a share of the speed that is expected in the end, e.g. 95%."
)
@click.option("--resume", is_flag=True, help="Refuse to start anew: there must be records to go on from.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="As for compile.")
@click.option("--seed", default=0, show_default=True, help="For what is drawn by chance.")
@click.option(
    "--fleet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Build and measure on the workers of a fleet (docs/fleet.md).",
)
@click.option("--insecure", is_flag=True, help="Allow a fleet that is reached by tcp://.")
@click.option("--dry-run", is_flag=True, help="List the kernels, their design spaces, and an estimate.")
@input_option
@constant_option
@trust_option
@devices_option
@ui.json_option
def command(
    model: str,
    target: str,
    records: Path,
    trials: int | None,
    time_limit: str | None,
    until: str | None,
    resume: bool,
    threads: int,
    seed: int,
    fleet: Path | None,
    insecure: bool,
    dry_run: bool,
    inputs: tuple[str, ...],
    constants: tuple[str, ...],
    trust_pickle: bool,
    devices: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure candidate kernels of MODEL on a device, and remember the fastest.

    Without --trials, --time or --until a session ends when no kernel gets faster any more. It can be stopped
    at any moment, and goes on when it is started again; everything measured is in the records, which
    `edgecompile compile --records DIR` uses.
    """
    from edgecompile.core.target import find_target
    from edgecompile.tuning.session import Budget
    from edgecompile.tuning.tune import TuneOptions, tune

    imported = import_options(inputs, constants, trust_pickle)
    seconds = parse_time(time_limit)
    budget = Budget(trials, math.inf if seconds is None else seconds, parse_share(until))
    options = TuneOptions(
        _tunable(find_target(target)),
        records,
        devices,
        budget,
        threads,
        seed,
        imported.input_shapes,
        imported.constants,
        imported.trust_pickle,
        fleet=_access(fleet, insecure, devices),
    )
    if resume:
        _require_records(records)
    if dry_run:
        _estimate(model, options, as_json)
        return
    with watching(budget, as_json) as notify:
        result = tune(model, options, notify)
    record = asdict(result) | {"records": str(records)}
    use = f"edgecompile compile {model} -t {target} --records {records}"
    ui.finish(record, "\n".join([*_describe(result), f"records  {records}", f"next     {use}"]), as_json)


def parse_time(text: str | None) -> float | None:
    """Seconds from "90", "90s", "30m" or "2h". Raises UsageError (EC2501)."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
    if found is None:
        why, fix = f"'{text}' is not a time", "write seconds (90s), minutes (30m) or hours (2h)"
        raise UsageError(Problem("EC2501", "bad option value", "--time", why, fix))
    return float(found.group(1)) * _UNITS[found.group(2) or "s"]


def parse_share(text: str | None) -> float | None:
    """0.95 from "95%" or "0.95". Raises UsageError (EC2510)."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    share = float(found.group(1)) / (100 if found.group(2) else 1) if found else 0.0
    if not 0 < share <= 1:
        why, fix = f"'{text}' is not a share", "write a percentage, e.g. 95%"
        raise UsageError(Problem("EC2510", "bad option value", "--until", why, fix))
    return share


def _tunable(target: Target) -> Target:
    """`target`; raises UsageError (EC2514) when another compiler makes its code."""
    from edgecompile.backends.find import find_constraints

    if find_constraints(target) is not None:
        what, why = f"{target.name} has no kernels to tune", "its maker's compiler chooses them"
        raise UsageError(Problem("EC2514", what, "--target", why, "tune for a CPU or a GPU"))
    return target


def _require_records(records: Path) -> None:
    """Raises UsageError (EC2511) where there is nothing to resume."""
    from edgecompile.tuning.database import find_journals

    if not records.is_dir() or not find_journals(records):
        what, why = "there is nothing to resume", "the folder holds no records"
        fix = "name the folder of the session with --records, or leave out --resume"
        raise UsageError(Problem("EC2511", what, str(records), why, fix))


def _access(fleet: Path | None, insecure: bool, devices: tuple[str, ...]) -> Access | None:
    """How the fleet is reached. Raises UsageError (EC2045) for a fleet and devices, and as `read_access`."""
    if fleet is None:
        return None
    from edgecompile.tuning.fleet_access import read_access

    if devices:
        what, fix = "a fleet has its own devices", "give --fleet or --device"
        raise UsageError(Problem("EC2045", what, "--device", "", fix))
    return read_access(fleet, insecure)


def _estimate(model: str, options: TuneOptions, as_json: bool) -> None:
    from edgecompile.tuning.estimate import minutes
    from edgecompile.tuning.tune import estimate

    with ui.working(f"importing {Path(model).name}"):
        found = estimate(model, options)
    rows = [
        (e.name, e.calls, e.candidates, e.known, "-" if e.speed_up is None else f"{e.speed_up:.2f}x")
        for e in found
    ]
    trials = sum(entry.trials for entry in found)
    time = duration(60 * minutes(found))
    text = [
        ui.table(("KERNEL", "CALLS", "CANDIDATES", "KNOWN", "EXPECTED"), rows),
        "",
        f"estimate {trials} more trials, about {time} on two cores",
    ]
    record = {"tasks": [asdict(entry) for entry in found], "trials": trials, "minutes": minutes(found)}
    ui.finish(record, "\n".join(text), as_json)


def _describe(tuned: Tuned) -> list[str]:
    progress = tuned.progress
    return [
        ui.table(headers(tuned), rows(tuned)),
        "",
        f"kernels  {figure(progress.untuned, tuned.metric)} untuned, "
        f"{figure(progress.latency, tuned.metric)} now: {speed_up(progress.untuned, progress.latency)}",
        *([failures(tuned)] if progress.failures else []),
        *map(_device, progress.devices),
    ]


def _device(use: Use) -> str:
    """One device of the session, and why it was left out."""
    return f"device   {use.device}: {use.trials} trials" + (f"; left out: {use.out}" if use.out else "")
