"""Weights apart from the code: the file that is flashed or loaded by itself, and C that checks it."""

from __future__ import annotations

import io
import re
import struct
import zlib

from elftools.elf.elffile import ELFFile

from edgecompile.core.artifact import Artifact
from edgecompile.errors import InputError, Problem
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.render import describe, render
from edgecompile.packaging.static_library import Member, members, without

MAGIC = b"ECW1"


def weights_of(artifact: Artifact) -> bytes:
    """The weights as they lie in memory. Raises InputError (EC3572) when they are not where they belong."""
    name, size = artifact.manifest.name, artifact.manifest.memory.weights
    if artifact.manifest.emit == "lib":
        found = _from_library(artifact.library.read_bytes(), name)
    else:
        found = _from_source((artifact.path / "src" / f"{name}_weights.c").read_text(encoding="utf-8"))
    if found is None or len(found) < size:
        why = f"the artifact does not hold the {size} bytes of {name}_weights"
        raise InputError(Problem("EC3572", "cannot take the weights apart", str(artifact.path), why))
    return found[:size]


def weights_image(weights: bytes, align: int) -> bytes:
    """What is flashed: a header, little endian, then the weights.

    The header is MAGIC, its own size, the size of the weights and their CRC-32 (4 bytes each), and zeros up
    to a multiple of `align`.
    """
    header_bytes = max(64, align)
    header = MAGIC + struct.pack("<3I", header_bytes, len(weights), zlib.crc32(weights))
    return header.ljust(header_bytes, b"\0") + weights


def apart_files(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME_weights.bin, and C code that finds the weights in it and refuses those of another build."""
    weights, align = weights_of(artifact), artifact.manifest.align
    image = weights_image(weights, align)
    values = describe(artifact, options) | {
        "magic": int.from_bytes(MAGIC, "little"),
        "header_bytes": len(image) - len(weights),
        "weight_bytes": len(weights),
        "crc": zlib.crc32(weights),
    }
    return {f"{artifact.manifest.name}_weights.bin": image} | render("weights", values)


def library_without_weights(library: bytes, name: str) -> bytes:
    """The static library without the object that holds the weights."""

    def holds_weights(member: Member) -> bool:
        return _is_weights_object(member, name)

    return without(library, holds_weights)


def is_weights_source(file: str, name: str) -> bool:
    """Whether a C file of network `name` holds its weights."""
    return file == f"{name}_weights.c"


def _is_weights_object(member: Member, name: str) -> bool:
    return member.name == f"{name}_weights.o"


def _from_library(library: bytes, name: str) -> bytes | None:
    member = next((m for m in members(library) if _is_weights_object(m, name)), None)
    if member is None:
        return None
    section = ELFFile(io.BytesIO(member.data)).get_section_by_name(f".rodata.{name}_weights")
    return None if section is None else bytes(section.data())


def _from_source(text: str) -> bytes | None:
    body = re.search(r"_weights\[\] = \{([\d,\s]*)\}", text)
    return None if body is None else bytes(int(word) for word in re.findall(r"\d+", body.group(1)))
