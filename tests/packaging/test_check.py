"""Whatever was done to a bundle is found, before anything in it is used."""

from __future__ import annotations

import io
import json
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecompile.core.artifact import Artifact
from edgecompile.core.store import sha256_hex
from edgecompile.errors import InputError
from edgecompile.packaging.archive import zip_bytes
from edgecompile.packaging.check import check_package
from tests.packaging.build import write


@pytest.fixture(scope="module")
def bundle(small: Artifact, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(small, "bundle", tmp_path_factory.mktemp("bundle")).read_bytes()


def refused(data: bytes, folder: Path, message: str) -> None:
    path = folder / "x.bundle"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        check_package(path)
    assert [item.name for item in folder.iterdir()] == ["x.bundle"]


def test_an_untouched_bundle_is_right(bundle: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.bundle").write_bytes(bundle)
    checked = check_package(tmp_path / "x.bundle")
    assert (checked.manifest.name, checked.manifest.format, checked.signature) == ("net", "bundle", "none")
    assert set(checked.files) - {"manifest.json"} == set(checked.manifest.files)


def test_one_flipped_bit_anywhere_is_found(bundle: bytes, tmp_path: Path) -> None:
    """Every byte that is not a file's content, and a sample of those that are."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        begins = [(_begin(bundle, member), member.file_size) for member in archive.infolist()]
        content = {index for first, size in begins for index in range(first, first + size)}
    rng = random.Random(3)
    places = [i for i in range(len(bundle)) if i not in content] + rng.sample(sorted(content), 200)
    path = tmp_path / "x.bundle"
    unnoticed = []
    for place in places:
        damaged = bytearray(bundle)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            check_package(path)
        except InputError:
            continue
        unnoticed.append(place)
    assert len(places) > 1500
    assert unnoticed == []


def _begin(data: bytes, member: zipfile.ZipInfo) -> int:
    """Where the content of a member begins, behind its own header."""
    name, extra = struct.unpack_from("<HH", data, member.header_offset + 26)
    return member.header_offset + 30 + int(name) + int(extra)


@pytest.mark.parametrize("cut", [0, 1])
def test_what_does_not_begin_like_a_bundle_is_none(cut: int, bundle: bytes, tmp_path: Path) -> None:
    refused(bundle[:cut], tmp_path, r"EC3560.*cannot read the bundle.*it is no bundle")


@pytest.mark.parametrize("cut", [21, 22, 100, -1])
def test_a_piece_of_a_bundle_is_refused(cut: int, bundle: bytes, tmp_path: Path) -> None:
    refused(bundle[:cut], tmp_path, r"EC3560.*cannot read the bundle.*do not use this one")


def test_an_archive_inside_is_not_taken_for_the_bundle(bundle: bytes, tmp_path: Path) -> None:
    """Without its own end, the last directory of an archive that is found is that of golden.npz."""
    refused(bundle[:-22], tmp_path, r"EC3563.*no package of edgecompile")


def test_bytes_before_between_and_behind_are_found(bundle: bytes, tmp_path: Path) -> None:
    refused(b"#!/bin/sh\n" + bundle, tmp_path, r"EC35(60|65)")
    refused(bundle + b"\0", tmp_path, r"EC35(60|65)")
    with zipfile.ZipFile(buffer := io.BytesIO(bundle), "a") as archive:
        archive.comment = b"hello"
    refused(buffer.getvalue(), tmp_path, r"EC3565.*the bundle was changed.*did not write")


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "a/../../b", "a//b", "./a", "a/.", "C:/x", "a\\b", "", "a b", "a\nb", "..."],
)
def test_unsafe_names_are_refused(name: str, bundle: bytes, tmp_path: Path) -> None:
    refused(with_member(bundle, zipfile.ZipInfo(name), b"x"), tmp_path, r"EC3561.*unsafe bundle.*plain name")


def test_a_name_with_nul_is_refused(bundle: bytes, tmp_path: Path) -> None:
    data = with_member(bundle, zipfile.ZipInfo("evilQname"), b"x").replace(b"evilQname", b"evil\0name")
    refused(data, tmp_path, r"EC3561.*unsafe bundle")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFCHR])
def test_links_and_devices_are_refused(kind: int, bundle: bytes, tmp_path: Path) -> None:
    member = zipfile.ZipInfo("link")
    member.create_system = 3
    member.external_attr = (kind | 0o777) << 16
    refused(
        with_member(bundle, member, b"/etc/passwd"), tmp_path, "EC3561.*link.*a link, a folder or a device"
    )


def test_two_files_of_one_name_are_refused(bundle: bytes, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"Duplicate"):
        data = with_member(bundle, zipfile.ZipInfo("manifest.json"), b"{}")
    refused(data, tmp_path, r"EC3561.*'manifest.json'.*two files of that name")
    refused(with_member(bundle, zipfile.ZipInfo("MANIFEST.json"), b"{}"), tmp_path, r"EC3561.*two files")
    refused(with_member(bundle, zipfile.ZipInfo("artifact"), b"{}"), tmp_path, r"EC3561.*a file and a folder")


def test_bombs_are_refused_before_they_are_unpacked(bundle: bytes, tmp_path: Path) -> None:
    packed = zipfile.ZipInfo("zeros")
    packed.compress_type = zipfile.ZIP_DEFLATED
    refused(with_member(bundle, packed, bytes(1 << 20)), tmp_path, r"EC3562.*more than 100 times its size")
    refused(with_member(bundle, packed, b"little"), tmp_path, r"EC3561.*compressed or encrypted")
    claimed = with_member(bundle, zipfile.ZipInfo("big"), b"x" * 99)
    at = claimed.rindex(b"PK\x01\x02")
    lie = claimed[: at + 20] + struct.pack("<II", (1 << 30) // 50, 1 << 30) + claimed[at + 28 :]
    refused(lie, tmp_path, r"EC3562.*unpacks to 107\d+ bytes")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    data = zip_bytes({f"f{i}": b"" for i in range(10_001)}, 315532800)
    refused(data, tmp_path, r"EC3562.*in 10001 files")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m | {"schema_version": 2}, "EC3563.*schema_version is 2, this edgecompile reads 1"),
        (lambda m: m | {"schema_version": "1"}, "EC3563.*schema_version is '1'"),
        (lambda m: m | {"kind": "other"}, "EC3563.*no manifest of a package"),
        (lambda m: m | {"more": 1}, "EC3563.*its fields are not"),
        (lambda m: m | {"date": True}, "EC3563.*its fields are not"),
        (lambda m: m | {"date": 1}, "EC3563.*its date is impossible"),
        (lambda m: m | {"files": m["files"] | {"more.c": "0"}}, "EC3564.*more.c.*it is missing"),
        (lambda m: m | {"files": {}}, "EC3564.*README.md.*the manifest does not know it"),
        (lambda m: m | {"key_id": "0" * 64}, "EC3566.*has lost its signature"),
        (lambda m: [], "EC3563.*no manifest of a package"),
    ],
)
def test_unknown_manifests_are_refused(
    change: Callable[[object], object], message: str, bundle: bytes, tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["manifest.json"] = json.dumps(change(json.loads(files["manifest.json"]))).encode()
    refused(zip_bytes(files, 315532800), tmp_path, message)


def test_no_manifest_and_no_json(tmp_path: Path) -> None:
    refused(zip_bytes({"a": b"b"}, 315532800), tmp_path, r"EC3563.*there is no manifest.json")
    refused(zip_bytes({"manifest.json": b"\xff"}, 315532800), tmp_path, r"EC3563.*unknown package manifest")
    refused(
        zip_bytes({"manifest.json": b"[" * 100_000}, 315532800), tmp_path, "EC3563.*unknown package manifest"
    )


def test_a_changed_file_is_named_with_a_manifest_that_fits_the_archive(bundle: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["artifact/model.onnx"] += b"\0"
    refused(zip_bytes(files, 315532800), tmp_path, r"EC3564.*artifact/model.onnx.*it was changed")


def test_a_missing_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"EC3560.*cannot read the package.*No such file"):
        check_package(tmp_path / "none.bundle")


def test_folders_are_checked_as_well(small: Artifact, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    files = {"a.txt": b"hello", "b/c.txt": b""}
    folder.mkdir()
    (folder / "b").mkdir()
    manifest = {
        "artifact": "", "date": 315532800, "files": {n: sha256_hex(d) for n, d in files.items()},
        "format": "x", "key_id": "", "kind": "edgecompile package", "name": "n", "schema_version": 1,
        "target": "host", "version": "1.0.0",
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert check_package(folder).files["a.txt"] == b"hello"
    (folder / "a.txt").write_bytes(b"hellO")
    with pytest.raises(InputError, match=r"EC3564.*a\.txt.*it was changed"):
        check_package(folder)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"EC3561.*unsafe package.*link or a device"):
        check_package(folder)


def with_member(bundle: bytes, member: zipfile.ZipInfo, data: bytes) -> bytes:
    buffer = io.BytesIO(bundle)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(member, data, member.compress_type)
    return buffer.getvalue()
