"""How far tuning is: a live table on a terminal, plain lines elsewhere, and events for other tools."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from edgecompile.cli import ui

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult

    from edgecompile.tuning.session import Budget
    from edgecompile.tuning.tune import Tuned

Notify: TypeAlias = "Callable[[Tuned], None]"

_HEADERS = ("KERNEL", "TRIALS", "OF", "UNTUNED", "BEST", "SPEED-UP")
# Lines of a terminal that the live table leaves free.
_FRAME = 7


@contextmanager
def watching(budget: Budget, as_json: bool) -> Iterator[Notify]:
    """Show every batch on stderr."""
    if as_json:
        yield _emit
    elif not sys.stderr.isatty():
        yield _plain_lines(budget)
    else:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        with Live("measuring the built-in kernels ...", console=console, transient=True) as live:
            yield lambda tuned: live.update(_Screen(tuned, budget))


def rows(tuned: Tuned) -> list[tuple[str, ...]]:
    """The cells of each kernel, for `headers`."""
    progress, metric = tuned.progress, tuned.metric
    columns = (tuned.names, progress.trials, tuned.sizes, progress.default, progress.best)
    compared = {one.name: f"{one.speed_up:.2f}x" for one in tuned.reranked}
    return [
        (
            name,
            str(trials),
            str(size),
            _value(default, metric),
            _value(best, metric),
            speed_up(default, best),
            *([compared.get(name, "-")] if compared else []),
        )
        for name, trials, size, default, best in zip(*columns, strict=True)
    ]


def headers(tuned: Tuned) -> tuple[str, ...]:
    """The last column is what the whole network gained by the choice for this kernel."""
    return (*_HEADERS, *(["NETWORK"] if tuned.reranked else []))


def summary(tuned: Tuned, budget: Budget) -> str:
    """The whole network in one line."""
    if tuned.comparing:
        return f"comparing candidates in the network: {tuned.comparing}"
    progress = tuned.progress
    rate = progress.measured / progress.seconds if progress.seconds else 0.0
    left = seconds_left(budget, progress.measured, progress.seconds)
    parts = [
        f"{progress.measured} trials, {60 * rate:.0f} a minute",
        f"{figure(progress.latency, tuned.metric)}",
        f"{speed_up(progress.untuned, progress.latency)} as fast as untuned",
        f"{progress.share:.0%} of what is expected" if progress.share else "",
        "" if left is None else f"{duration(left)} left",
    ]
    return _and(*parts)


def seconds_left(budget: Budget, measured: int, seconds: float) -> float | None:
    """Until the budget is spent at the rate so far; None where it has no end that is known."""
    ends = [budget.seconds - seconds]
    if budget.trials is not None and measured:
        ends.append((budget.trials - measured) * seconds / measured)
    left = min(ends)
    return max(left, 0.0) if math.isfinite(left) else None


def failures(tuned: Tuned) -> str:
    """Failures by kind; "" without any."""
    found = ", ".join(f"{count} {kind}" for kind, count in tuned.progress.failures.items())
    return f"failed: {found}" if found else ""


def figure(value: float, metric: str) -> str:
    """A value for people."""
    return f"{value * 1e6:,.2f} us" if metric == "seconds" else f"{value:,.0f} {metric}"


def speed_up(before: float | None, after: float | None) -> str:
    """How many times as fast."""
    return f"{before / after:.2f}x" if before and after else "-"


def duration(seconds: float) -> str:
    """A time for people."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}h {minutes % 60:02}m" if minutes >= 60 else f"{minutes}m {rest:02}s"


def _emit(tuned: Tuned) -> None:
    record = asdict(tuned)
    del record["curves"]
    event = "compare" if tuned.comparing else "batch"
    click.echo(json.dumps({"event": event} | record), err=True)


def _plain_lines(budget: Budget) -> Notify:
    """A line whenever the trials of the session have doubled."""
    shown = 0

    def show(tuned: Tuned) -> None:
        nonlocal shown
        if tuned.comparing:
            click.echo(summary(tuned, budget), err=True)
        elif tuned.progress.measured >= 2 * shown:
            shown = tuned.progress.measured
            click.echo(_and(summary(tuned, budget), failures(tuned)), err=True)

    return show


class _Screen:
    """The table of kernels around the one that was worked on, as many as the terminal has lines for."""

    def __init__(self, tuned: Tuned, budget: Budget) -> None:
        self.tuned = tuned
        self.budget = budget

    def __rich_console__(self, console: Any, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        cells = rows(self.tuned)
        room = max(1, console.height - _FRAME)
        now = self.tuned.progress.task
        first = max(0, min(now - room // 2, len(cells) - room))
        marked = [
            (("> " if place == now else "  ") + row[0], *row[1:])
            for place, row in enumerate(cells[first : first + room], first)
        ]
        hidden = len(cells) - len(marked)
        lines = [ui.table(("  KERNEL", *headers(self.tuned)[1:]), marked)]
        lines += [f"  and {hidden} more"] if hidden else []
        yield Text(
            "\n".join([*lines, "", summary(self.tuned, self.budget), failures(self.tuned)]),
            no_wrap=True,
            overflow="ellipsis",
        )


def _and(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _value(value: float | None, metric: str) -> str:
    return "-" if value is None else figure(value, metric)
