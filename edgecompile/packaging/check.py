"""Is a package what was made? Names and sizes, the signature, then every digest, before anything is used.

A bundle must be, byte for byte, what edgecompile writes for the files in it: so there is no byte, in a file
or between them, whose change goes unnoticed. Against somebody who changes a package and its digests only the
signature helps, and that only with a public key that came another way.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecompile.core.artifact import MANIFEST
from edgecompile.core.store import sha256_hex
from edgecompile.errors import InputError, Problem, reason
from edgecompile.packaging.archive import FIRST_DATE, LAST_DATE, zip_bytes
from edgecompile.packaging.manifest import SIGNATURE, Files, PackageManifest
from edgecompile.packaging.sign import verify_signature

MAX_BYTES = 1 << 30
MAX_RATIO = 100
MAX_FILES = 10_000
_NAME = re.compile(r"[A-Za-z0-9_+.-]+")
_ARCHIVE = b"PK"
_FIX = "get the package again; do not use this one"
_GIVE = "give a bundle or a folder that `edgecompile package` wrote"


@dataclass(frozen=True)
class Checked:
    """A package whose every byte is as it was made. `signature`: "valid", "not checked" or "none"."""

    manifest: PackageManifest
    files: Files
    signature: str


def check_package(path: Path, public_key: Path | None = None) -> Checked:
    """Read the bundle or the package folder `path` after checking it.

    Raises InputError: EC3560 it cannot be read, EC3561 unsafe names, EC3562 too large, EC3563 not a manifest
    that is known, EC3564 content that was changed, EC3565 bytes that do not belong there, EC3566 no signature
    although `public_key` is given, EC3567 a wrong one.
    """
    data = None if path.is_dir() else _read(path)
    files = _folder_files(path) if data is None else _zip_files(data, str(path))
    signature = _check_signature(files, str(path), public_key)
    manifest = _manifest(files, str(path))
    _check_digests(files, manifest, str(path))
    if bool(manifest.key_id) != (SIGNATURE in files):
        raise _problem("EC3566", "the package has lost its signature", str(path), "its manifest names a key")
    if data is not None and zip_bytes(files, manifest.date) != data:
        why = "there are bytes in the archive that edgecompile did not write"
        raise _problem("EC3565", "the bundle was changed", str(path), why)
    return Checked(manifest, files, signature)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(str(path), f"it has {path.stat().st_size} bytes")
        return path.read_bytes()
    except OSError as error:
        problem = Problem("EC3560", "cannot read the package", str(path), reason(error), _GIVE)
        raise InputError(problem) from None


def _zip_files(data: bytes, where: str) -> Files:
    """Contents by name, after a look at the directory of the archive, and before anything is unpacked."""
    if not data.startswith(_ARCHIVE):
        raise InputError(Problem("EC3560", "cannot read the bundle", where, "it is no bundle", _GIVE))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, where)
            return {member.filename: archive.read(member) for member in members}
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _problem("EC3560", "cannot read the bundle", where, reason(error)) from None


def _check_members(members: list[zipfile.ZipInfo], where: str) -> None:
    total, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if total > MAX_BYTES or len(members) > MAX_FILES:
        raise _too_large(where, f"it unpacks to {total} bytes in {len(members)} files")
    if any(m.file_size > MAX_RATIO * m.compress_size for m in members) or total > MAX_RATIO * packed:
        raise _too_large(where, f"it unpacks to more than {MAX_RATIO} times its size")
    counts = Counter(m.filename.casefold() for m in members)
    problems = [problem for m in members for problem in _unsafe(m)]
    problems += [(name, "there are two files of that name") for name, count in counts.items() if count > 1]
    folders = {"/".join(name.split("/")[:i]) for name in counts for i in range(1, name.count("/") + 1)}
    problems += [(name, "it is a file and a folder") for name in sorted(folders & counts.keys())]
    if problems:
        raise InputError(
            *(Problem("EC3561", "unsafe bundle", f"{where}: {name!r}", why, _FIX) for name, why in problems)
        )


def _unsafe(member: zipfile.ZipInfo) -> Iterator[tuple[str, str]]:
    # The name as it stands in the archive: zipfile cuts filename at a NUL.
    name = member.orig_filename
    parts = name.split("/")
    if not all(map(_NAME.fullmatch, parts)) or any(part.strip(". ") == "" for part in parts):
        yield name, "it is not the plain name of a file inside"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        yield name, "it is a link, a folder or a device, not a file"
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        yield name, "it is compressed or encrypted, which no file of a bundle is"


def _folder_files(path: Path) -> Files:
    problems, files, total = [], {}, 0
    for item in sorted(path.rglob("*")):
        name = item.relative_to(path).as_posix()
        kind = item.lstat()
        if stat.S_ISREG(kind.st_mode):
            total += kind.st_size
            if total > MAX_BYTES:
                raise _too_large(str(path), f"it has more than {MAX_BYTES} bytes")
            files[name] = item.read_bytes()
        elif not stat.S_ISDIR(kind.st_mode):
            problems.append(Problem("EC3561", "unsafe package", str(item), "it is a link or a device", _FIX))
    if problems:
        raise InputError(*problems)
    return files


def _check_signature(files: Files, where: str, public_key: Path | None) -> str:
    if public_key is None:
        return "not checked" if SIGNATURE in files else "none"
    if SIGNATURE not in files or MANIFEST not in files:
        raise _problem("EC3566", "the package is not signed", where, "there is no manifest.sig in it")
    verify_signature(files[MANIFEST], files[SIGNATURE], public_key)
    return "valid"


def _manifest(files: Files, where: str) -> PackageManifest:
    try:
        manifest = PackageManifest.from_json(files[MANIFEST].decode("utf-8"))
    except KeyError:
        problem = Problem("EC3563", "no package of edgecompile", where, "there is no manifest.json", _GIVE)
        raise InputError(problem) from None
    except (ValueError, RecursionError) as error:
        raise _problem("EC3563", "unknown package manifest", where, str(error)) from None
    if not FIRST_DATE <= manifest.date <= LAST_DATE:
        raise _problem("EC3563", "unknown package manifest", where, "its date is impossible")
    return manifest


def _check_digests(files: Files, manifest: PackageManifest, where: str) -> None:
    """Every file is the one that is named, and there are no others."""
    present = files.keys() - {MANIFEST, SIGNATURE}
    wrong = [(name, "it is missing") for name in sorted(manifest.files.keys() - present)]
    wrong += [(name, "the manifest does not know it") for name in sorted(present - manifest.files.keys())]
    for name in sorted(present & manifest.files.keys()):
        if sha256_hex(files[name]) != manifest.files[name]:
            wrong.append((name, "it was changed"))
    if wrong:
        raise InputError(
            *(Problem("EC3564", "damaged package", f"{where}: {name}", why, _FIX) for name, why in wrong)
        )


def _too_large(where: str, why: str) -> InputError:
    fix = f"a bundle has at most {MAX_BYTES >> 30} GB in {MAX_FILES} files; do not unpack this one"
    return InputError(Problem("EC3562", "the package is too large", where, why, fix))


def _problem(code: str, what: str, where: str, why: str) -> InputError:
    return InputError(Problem(code, what, where, why, _FIX))
