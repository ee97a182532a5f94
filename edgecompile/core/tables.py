"""Files of settings: TOML tables become dataclasses, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgecompile.errors import InputError, Problem, did_you_mean, reason

T = TypeVar("T")


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """What a TOML file says. Raises InputError (EC3020), which calls it a `kind`, such as "target file"."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fix = "check the path" if isinstance(error, OSError) else "write it as TOML"
        what = f"cannot read the {kind}"
        raise InputError(Problem("EC3020", what, str(path), reason(error), fix)) from None


def from_table(kind: type[T], table: Any, where: str) -> T:
    """Turn a table into the dataclass `kind`. Raises InputError (EC3020) for a field that does not fit."""
    if not isinstance(table, dict):
        raise InputError(Problem("EC3020", "expected a table", where, f"got {table!r}"))
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(fields))
    if unknown:
        hint = did_you_mean(unknown[0], list(fields))
        raise InputError(Problem("EC3020", f"unknown field '{unknown[0]}'", where, "", hint))
    missing = [
        name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in table
    ]
    if missing:
        raise InputError(Problem("EC3020", f"missing field '{missing[0]}'", where))
    values = {name: _convert(hints[name], value, f"{where}: {name}") for name, value in table.items()}
    return kind(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_table(hint, value, where)
    if origin is types.UnionType:
        return _convert(next(a for a in arguments if a is not type(None)), value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is Literal:
        if value in arguments:
            return value
        raise InputError(Problem("EC3020", f"bad value {value!r}", where, f"allowed: {arguments}"))
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise InputError(Problem("EC3020", f"bad value {value!r}", where, f"expected {hint.__name__}"))
    return value
