"""What a user sees: results on stdout, progress and errors on stderr, one JSON object with --json."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from edgecompile.errors import Problem, UsageError

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20}


def finish(record: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a verb's result."""
    click.echo(_dump({"ok": True, "exit_code": 0} | record) if as_json else text)


def fail(problems: Sequence[Problem], exit_code: int, as_json: bool) -> None:
    """Print why a verb failed: one paragraph a problem, or one JSON object."""
    if as_json:
        record = {"ok": False, "exit_code": exit_code, "problems": [asdict(problem) for problem in problems]}
        click.echo(_dump(record))
        return
    for problem in problems:
        label, bracket, rest = str(problem).partition("]")
        click.echo(_colored(label + bracket, "red") + rest, err=True)


def warn(message: str) -> None:
    """Something the user should know although the command goes on."""
    click.echo(f"{_colored('warning', 'yellow')}: {message}", err=True)


def step(task: str) -> None:
    """One line of progress, for work of several parts."""
    click.echo(f"{task} ...", err=True)


@contextmanager
def working(task: str) -> Iterator[None]:
    """Show that `task` is under way: a spinner on a terminal, else one plain line."""
    if not sys.stderr.isatty():
        step(task)
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{task} ..."):
        yield


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show how far work in several parts is: a bar for each on a terminal, else one plain line.

    Yields a function that is told the part's name, the steps done, and of how many (None: not known).
    """
    if not sys.stderr.isatty():
        announced: set[str] = set()

        def announce(task: str, done: int, total: int | None) -> None:
            if task not in announced:
                announced.add(task)
                step(task)

        yield announce
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bars:
        shown: dict[str, TaskID] = {}

        def show(task: str, done: int, total: int | None) -> None:
            if task not in shown:
                shown[task] = bars.add_task(task, total=total)
            bars.update(shown[task], completed=done)

        yield show


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Aligned columns; those that hold numbers are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    columns = list(zip(headers, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [bool(column[1:]) and all(_is_figure(cell) for cell in column[1:]) for column in columns]

    def line(row: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([line(headers), *map(line, cells)])


def size(count: int) -> str:
    """Bytes for people; 1 kB is 1024 bytes."""
    if count < 1 << 10:
        return f"{count} B"
    return f"{count / (1 << 10):.1f} kB" if count < 1 << 20 else f"{count / (1 << 20):.1f} MB"


def parse_size(text: str | None, option: str) -> int | None:
    """Bytes from "65536", "64k" or "2MB". Raises UsageError (EC2003)."""
    if text is None:
        return None
    digits = text.rstrip("bBkKmM ")
    unit = _UNITS.get(text[len(digits) :].strip().lower())
    if unit is None or not digits.isdecimal():
        why, fix = f"'{text}' is not a size", "write bytes (65536), kB (64k) or MB (2M)"
        raise UsageError(Problem("EC2003", "bad option value", option, why, fix))
    return int(digits) * unit


def shape(dims: Sequence[int]) -> str:
    """A tensor's shape, e.g. 1x3x224x224."""
    return "x".join(map(str, dims)) or "scalar"


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell in ("", "-")


def _dump(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=2, default=str)


def _colored(text: str, color: str) -> str:
    plain = bool(os.environ.get("NO_COLOR")) or not sys.stderr.isatty()
    return text if plain else click.style(text, fg=color, bold=True)
