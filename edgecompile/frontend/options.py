"""What the user may say about a network that its file does not: shapes, constants, trust and limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecompile.errors import Problem, UsageError

Shape = tuple[int, ...]
_SHAPE = re.compile(r"(\d+(,\d+)*)?")


@dataclass(frozen=True)
class ImportOptions:
    """How to read a network.

    `input_shapes` binds the dimensions of graph inputs (elements). `constants` gives graph inputs a value at
    compile time; they are no longer inputs of the result. `trust_pickle` allows files whose loading executes
    code from the file. `memory_bytes` and `timeout_s` bound the importing process; None means the default of
    the file's kind (see `edgecompile.frontend.limits`).
    """

    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    constants: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    trust_pickle: bool = False
    memory_bytes: int | None = None
    timeout_s: float | None = None


def parse_input_shape(text: str) -> tuple[str, Shape]:
    """Parse "name:1,3,224,224" ("name:" is a scalar); the name itself may hold colons.

    Raises UsageError (EC2101) showing the line to type.
    """
    name, colon, dims = text.rpartition(":")
    dims = dims.replace(" ", "")
    if not colon or not name or not _SHAPE.fullmatch(dims):
        raise UsageError(
            Problem(
                "EC2101",
                f"cannot read the input shape '{text}'",
                "--input",
                "it is a tensor's name, a colon and its dimensions",
                "write it like --input x:1,3,224,224",
            )
        )
    return name, tuple(int(dim) for dim in dims.split(",") if dim)


def parse_input_shapes(texts: Iterable[str]) -> dict[str, Shape]:
    """Parse all `--input` values; raises UsageError (EC2101, EC2102), every bad one listed."""
    shapes: dict[str, Shape] = {}
    problems: list[Problem] = []
    for text in texts:
        try:
            name, shape = parse_input_shape(text)
        except UsageError as error:
            problems.extend(error.problems)
            continue
        if shapes.setdefault(name, shape) != shape:
            why = f"it is both {shapes[name]} and {shape}"
            problems.append(Problem("EC2102", f"input '{name}' is given twice", "--input", why, "keep one"))
    if problems:
        raise UsageError(*problems)
    return shapes


def input_line(name: str, shape: Iterable[object]) -> str:
    """The option to type for `name`; an unknown dimension appears as the example 224."""
    dims = ",".join(str(dim) if isinstance(dim, int) else "224" for dim in shape)
    return f"--input {name}:{dims}"
