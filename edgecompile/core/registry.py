"""Plug-ins of other packages, found by their entry points."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any


@dataclass(frozen=True)
class Plugins:
    """What a group of entry points offers: objects by name, and a sentence for each that is broken."""

    found: dict[str, Any]
    warnings: tuple[str, ...]


def load_plugins(group: str) -> Plugins:
    """Import every plug-in of `group`, e.g. "edgecompile.devices".

    A plug-in that cannot be imported, or that takes a name already taken, is named in `warnings` and left
    out: it never stops the program.
    """
    found: dict[str, Any] = {}
    warnings: list[str] = []
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        if point.name in found:
            warnings.append(f"plug-in '{point.name}' ({point.value}) skipped: the name is taken")
            continue
        try:
            found[point.name] = point.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            warnings.append(f"plug-in '{point.name}' ({point.value}) skipped: {reason}")
    return Plugins(found, tuple(warnings))
