"""Which memory the network lies in: a piece of linker script, and C that fills the memories that forget."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.render import describe, render

# What a memory of no other STORE is filled from, and how its name tells that it forgets.
_STORE = "FLASH"
_VOLATILE = ("RAM", "TCM")

_CODE = ".text .text.*"
_CONSTANTS = ".rodata .rodata.* .data.rel.ro .data.rel.ro.*"


@dataclass(frozen=True)
class Section:
    """An output section of the linker: `patterns` choose what is in it; no `store`: nothing is copied."""

    subject: str
    memory: str
    store: str
    patterns: tuple[str, ...]


def placement_files(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME_sections.ld, NAME_place.h and NAME_place.c; nothing when nothing is placed."""
    sections = _sections(artifact.manifest.name, options)
    if not sections and "arena" not in options.place:
        return {}
    values = describe(artifact, options) | {
        "sections": sections,
        "arena_memory": options.place.get("arena", "").split(":")[0],
    }
    return render("place", values)


def _sections(name: str, options: PackageOptions) -> list[Section]:
    """In the order in which a linker has to see them: who comes first gets it."""
    from_library = f"*lib{name}.a:*"
    patterns = {
        "weights": (f"*(.rodata.{name}_weights)",),
        "code": (f"{from_library}({_CODE})",),
        "model": (f"{from_library}({_CODE})", f"{from_library}({_CONSTANTS})"),
    }
    wanted = dict(options.place)
    if options.weights == "section":
        wanted.setdefault("weights", "")
    return [
        _section(subject, wanted[subject], patterns[subject]) for subject in patterns if subject in wanted
    ]


def _section(subject: str, place: str, patterns: tuple[str, ...]) -> Section:
    memory, _, store = place.partition(":")
    if not store and any(word in memory.upper() for word in _VOLATILE):
        store = _STORE
    return Section(subject, memory, store, patterns)
