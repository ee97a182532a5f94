"""Archives without a trace of the machine: sorted names, one date, fixed owners and modes, no compression.

Members are stored as they are: what deflate makes of them differs between versions of zlib, and a package has
to be the same wherever it is made.
"""

from __future__ import annotations

import io
import stat
import tarfile
import time
import zipfile
from collections.abc import Mapping

FILE_MODE = 0o644
# The first and the last moment that a zip archive can state, in seconds since 1970 (UTC).
FIRST_DATE, LAST_DATE = 315532800, 4354819198


def zip_bytes(files: Mapping[str, bytes], date: int) -> bytes:
    """A zip archive; `date` in seconds since 1970, from FIRST_DATE to LAST_DATE, is that of every member."""
    moment = time.gmtime(date)[:6]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, moment)
            member.create_system = 3
            member.external_attr = (stat.S_IFREG | FILE_MODE) << 16
            archive.writestr(member, files[name])
    return buffer.getvalue()


def tar_bytes(files: Mapping[str, bytes], date: int) -> bytes:
    """A tar archive (ustar) of files and of the folders that they are in, all owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted({*files, *_folders(files)}):
            member = tarfile.TarInfo(name)
            member.mtime = date
            member.uname = member.gname = "root"
            member.mode = FILE_MODE if name in files else 0o755
            member.type = tarfile.REGTYPE if name in files else tarfile.DIRTYPE
            member.size = len(files.get(name, b""))
            archive.addfile(member, io.BytesIO(files.get(name, b"")))
    return buffer.getvalue()


def _folders(files: Mapping[str, bytes]) -> set[str]:
    parts = (name.split("/")[:-1] for name in files)
    return {"/".join(path[: i + 1]) for path in parts for i in range(len(path))} - {"."}


def ar_bytes(members: Mapping[str, bytes], date: int) -> bytes:
    """An ar archive as Debian packages are: names of at most 15 characters, in the order given."""
    rows = [b"!<arch>\n"]
    for name, data in members.items():
        rows.append(ar_header(name, len(data), date, 0o100644) + data + b"\n" * (len(data) % 2))
    return b"".join(rows)


def ar_header(name: str, size: int, date: int, mode: int) -> bytes:
    """The 60 bytes in front of a member (the format is that of ar.h)."""
    return f"{name:<16}{date:<12}{0:<6}{0:<6}{mode:<8o}{size:<10}`\n".encode("ascii")
