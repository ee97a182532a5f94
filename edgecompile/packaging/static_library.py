"""Static libraries (ar archives in the form of GNU and LLVM) as data: reading members, leaving some out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgecompile.errors import InputError, Problem
from edgecompile.packaging.archive import ar_header

_MAGIC = b"!<arch>\n"
_HEADER = 60


@dataclass(frozen=True)
class Member:
    """One file of a library; `offset` is where its header begins there."""

    name: str
    data: bytes
    offset: int


def members(library: bytes) -> list[Member]:
    """The object files in `library`, in order. Raises InputError (EC3571) when it is no static library."""
    return [member for member in _all_members(library) if member.name not in ("/", "//")]


def without(library: bytes, leave_out: Callable[[Member], bool]) -> bytes:
    """`library` without some members; its symbol index is made to fit. Raises InputError (EC3571)."""
    everything = _all_members(library)
    by_offset = {member.offset: member for member in everything}
    kept = [m for m in everything if m.name not in ("/", "//") and not leave_out(m)]
    index = next((m for m in everything if m.name == "/"), None)
    names = next((m for m in everything if m.name == "//"), None)
    symbols = [] if index is None else list(_symbols(index.data))
    symbols = [(name, offset) for name, offset in symbols if by_offset.get(offset) in kept]
    head = [] if names is None else [_framed("//", names.data, by_offset[names.offset], library)]
    texts = b"".join(name + b"\0" for name, _ in symbols)
    index_bytes = 4 + 4 * len(symbols) + len(texts)
    position = len(_MAGIC) + _HEADER + index_bytes + index_bytes % 2 + sum(map(len, head))
    moved: dict[int, int] = {}
    body = []
    for member in kept:
        moved[member.offset] = position
        body.append(_framed(member.name, member.data, member, library))
        position += len(body[-1])
    offsets = struct.pack(f">{len(symbols) + 1}I", len(symbols), *(moved[offset] for _, offset in symbols))
    table = offsets + texts + b"\0" * (index_bytes % 2)
    first = ar_header("/", len(table), 0, 0) + table
    return b"".join([_MAGIC, first, *head, *body])


def _framed(name: str, data: bytes, member: Member, library: bytes) -> bytes:
    header = library[member.offset : member.offset + _HEADER]
    assert header[48:58].strip() == str(len(data)).encode(), name
    return header + data + b"\n" * (len(data) % 2)


def _symbols(index: bytes) -> Iterator[tuple[bytes, int]]:
    (count,) = struct.unpack_from(">I", index)
    offsets = struct.unpack_from(f">{count}I", index, 4)
    texts = index[4 + 4 * count :].split(b"\0")
    yield from zip(texts, offsets, strict=False)


def _all_members(library: bytes) -> list[Member]:
    if not library.startswith(_MAGIC):
        raise _damaged("it does not begin like an ar archive")
    found, offset, long_names = [], len(_MAGIC), b""
    while offset < len(library):
        header = library[offset : offset + _HEADER]
        size = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
            raise _damaged(f"there is no member at byte {offset}")
        data = library[offset + _HEADER : offset + _HEADER + int(size)]
        name = header[:16].decode("ascii", "replace").rstrip()
        if name == "//":
            long_names = data
        elif name[:1] == "/" and name[1:].isdigit():
            name = long_names[int(name[1:]) :].split(b"/\n")[0].decode("utf-8", "replace")
        elif name != "/":
            name = name.removesuffix("/")
        found.append(Member(name, data, offset))
        offset += _HEADER + int(size) + int(size) % 2
    return found


def _damaged(why: str) -> InputError:
    return InputError(Problem("EC3571", "the artifact's library is damaged", "", why, "compile again"))
