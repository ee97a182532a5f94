"""Options that more than one verb has, and how their text is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    import numpy as np

    from edgecompile.frontend.options import ImportOptions

input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME:1,3,224,224",
    help="Fix the shape of an input. May be repeated.",
)
constant_option = click.option(
    "--constant",
    "constants",
    multiple=True,
    metavar="NAME=1,2,3",
    help="Give an input a value at compile time. May be repeated.",
)
trust_option = click.option(
    "--trust-pickle", is_flag=True, help="Allow files whose loading executes code (.pt2)."
)
_WHERE = (
    "Where to execute: local, qemu, ssh://HOST, adb://SERIAL, command:FILE.  "
    "[default: the target's usual one]"
)
device_option = click.option("--device", metavar="SPEC", help=_WHERE)
devices_option = click.option(
    "--device", "devices", metavar="SPEC", multiple=True, help=f"{_WHERE} May be repeated."
)

threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Run on so many threads; no more than it was compiled for.",
)

_INTEGER = re.compile(r"[+-]?\d+")


def import_options(
    inputs: Iterable[str], constants: Iterable[str] = (), trust_pickle: bool = False
) -> ImportOptions:
    """What the frontends take. Raises UsageError (EC2004, EC21xx) for text that cannot be read."""
    from edgecompile.frontend.options import ImportOptions, parse_input_shapes

    return ImportOptions(parse_input_shapes(inputs), parse_constants(constants), trust_pickle)


def parse_constants(texts: Iterable[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Read "name=16000" (a scalar) and "name=1,2,3": int64 when all are integers, else float32."""
    return dict(_parse_constant(text) for text in texts)


def _parse_constant(text: str) -> tuple[str, np.ndarray[Any, Any]]:
    import numpy as np

    name, equals, values = text.rpartition("=")
    words = [word.strip() for word in values.split(",")]
    dtype = np.int64 if all(map(_INTEGER.fullmatch, words)) else np.float32
    try:
        if not equals or not name:
            raise ValueError("it is a name, '=' and numbers")
        array = np.array(words[0] if len(words) == 1 else words).astype(dtype)
    except (ValueError, OverflowError) as error:
        fix = "write it like --constant rate=16000 or --constant scale=1,0.5"
        problem = Problem("EC2004", f"cannot read the constant '{text}'", "--constant", str(error), fix)
        raise UsageError(problem) from None
    return name, array
