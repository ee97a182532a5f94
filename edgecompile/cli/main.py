"""The command `edgecompile`: finds the verb, imports only that, and turns every failure into a message.

Starting must be instant, so this file imports nothing heavy and the verbs are looked up by name.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import click

from edgecompile import __version__
from edgecompile.cli import ui
from edgecompile.errors import EdgeCompileError, InternalError, Problem, of_file_system

VERBS: dict[str, str] = {
    "compile": "Compile a network into a library for a target.",
    "tune": "Find the fastest kernels for a network by measuring on a device.",
    "prune": "Cut channels, neurons and heads out of a network, and make up for it.",
    "quantize": "Turn a float network into one of 8-bit integers, with samples of its inputs.",
    "verify": "Execute an artifact on a device and compare its results with the reference.",
    "bench": "Measure an artifact's speed on a device.",
    "package": "Put an artifact into the form that a build system takes; check bundles.",
    "report": "Show what was compiled: memory, kernels, notes, verification.",
    "inspect": "List a network's layers, multiply-accumulates and memory.",
    "logs": "Show, join and repair files of tuning records.",
    "targets": "List and show what can be compiled for.",
    "devices": "List and probe where artifacts can be executed.",
    "fleet": "Share devices, and machines that build, among tuning sessions.",
    "doctor": "Check the installation and the external tools.",
    "demo": "Train a small network, compile it for three targets, execute all three.",
}

INTERRUPTED = 130


class VerbGroup(click.Group):
    """Verbs by name; the module edgecompile.cli.<verb> is imported when the verb is used."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"edgecompile.cli.{name}").command
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if not name.startswith("-") and name not in VERBS:
            raise click.exceptions.NoSuchCommand(name, possibilities=VERBS, ctx=context)
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgecompile", message="%(prog)s %(version)s")
def cli() -> None:
    """Turn a trained network into a verified, runtime-free binary for one device.

    \b
    Exit codes: 0 ok, 1 bug, 2 usage, 3 bad input, 4 unsupported, 5 missing tool, 6 over budget,
    7 device lost, 8 stopped with everything saved, 9 wrong result, 130 interrupted.
    """


def run() -> NoReturn:
    """The program: `main`, and the end of the process."""
    status = 0

    def end() -> None:
        # An interrupt inside of exec(), which dataclasses use, makes Python kill itself by SIGINT at its
        # regular end, although the interrupt was dealt with. What still cleans up does so before.
        if status == INTERRUPTED:
            gc.collect()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    atexit.register(end)  # the first one that is registered is the last one that is called
    status = main()
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest, **more: ui.warn(str(message))
            status = cli.main(words, prog_name="edgecompile", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return 2
    except click.ClickException as error:
        ui.fail([_usage_problem(error)], 2, as_json)
        return 2
    except (click.Abort, KeyboardInterrupt) as error:
        # click makes an Abort of an interrupt, whose text says how to go on.
        advice = " ".join(map(str, (error.__cause__ or error).args))
        ui.fail([Problem("EC0130", "interrupted", fix=advice)], INTERRUPTED, as_json)
        return INTERRUPTED
    except EdgeCompileError as error:
        return _fail(error, as_json)
    except Exception as error:
        if os.environ.get("EDGECOMPILE_TRACEBACK"):
            raise
        return _fail(of_file_system(error) or InternalError(_bug(error)), as_json)


def _fail(error: EdgeCompileError, as_json: bool) -> int:
    ui.fail(error.problems, error.exit_code, as_json)
    return error.exit_code


def _usage_problem(error: click.ClickException) -> Problem:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "edgecompile"
    near = getattr(error, "possibilities", None)
    if near:
        return Problem("EC2000", error.message, "", "", f"did you mean '{near[0]}'?")
    return Problem("EC2000", error.format_message(), "", "", f"see '{path} --help'")


def _bug(error: Exception) -> Problem:
    what = "unexpected failure in edgecompile"
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    fix = "this is a bug; please report it with the traceback that EDGECOMPILE_TRACEBACK=1 shows"
    return Problem("EC1000", what, "", why, fix)
