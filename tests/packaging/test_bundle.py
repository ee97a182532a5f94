"""What is in a bundle, that its bytes depend on nothing else, and the way back to an artifact."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgecompile.core.artifact import MANIFEST, Artifact
from edgecompile.errors import InputError, UsageError
from edgecompile.packaging.bundle import open_bundle
from edgecompile.packaging.options import PackageOptions, source_date
from tests.packaging.build import run, write


def contents(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_everything_is_in_it(small: Artifact, tmp_path: Path) -> None:
    bundle = write(small, "bundle", tmp_path, PackageOptions("2.0.1", license="MIT"))
    files = contents(bundle)
    assert bundle.name == "net-host-2.0.1.bundle"
    assert {f"artifact/{name}" for name in (*small.manifest.files, MANIFEST)} < set(files)
    assert {"LICENSES.md", "README.md", "manifest.json", "sbom.cdx.json"} < set(files)
    assert {"selftest/net_selftest.c", "selftest/net_golden.c", "selftest/net_selftest_main.c"} < set(files)
    assert "| MIT |" in files["LICENSES.md"].decode()
    record = json.loads(files["manifest.json"])
    assert (record["format"], record["name"], record["version"]) == ("bundle", "net", "2.0.1")


def test_the_bill_of_materials_is_valid_and_complete(small: Artifact, tmp_path: Path) -> None:
    files = contents(write(small, "bundle", tmp_path, PackageOptions(license="Apache-2.0")))
    text = files["sbom.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    record = json.loads(text)
    assert record["metadata"]["component"]["name"] == "net"
    assert record["metadata"]["timestamp"] == "1980-01-01T00:00:00+00:00"
    parts = record["components"]
    (model,) = (part for part in parts if part["type"] == "machine-learning-model")
    assert (model["name"], model["licenses"]) == ("net.onnx", [{"expression": "Apache-2.0"}])
    digests = {part["name"]: part["hashes"][0]["content"] for part in parts if part["type"] == "file"}
    assert digests == small.manifest.files


def test_the_same_bytes_from_any_folder_umask_time_zone_and_hash_seed(
    small: Artifact, tmp_path: Path
) -> None:
    made = []
    settings = [
        ("a", "022", "UTC", "0"),
        ("b/deeper", "077", "Asia/Kathmandu", "1"),
        ("c", "000", "EST", "77"),
    ]
    for place, umask, zone, seed in settings:
        folder = tmp_path / place
        folder.mkdir(parents=True)
        copy = shutil.copytree(small.path, folder / "copy.edge")
        for index, path in enumerate(sorted(copy.rglob("*"))):
            os.utime(path, (index, 10**9 + index))
        words = f"{sys.executable} -m edgecompile package copy.edge -f bundle -o out"
        environment = os.environ | {"TZ": zone, "PYTHONHASHSEED": seed, "HOME": str(folder)}
        environment["PYTHONPATH"] = str(Path(__file__).parent.parent.parent)
        command = ["/bin/sh", "-c", f"umask {umask} && exec {words}"]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        bundle = next((folder / "out").iterdir())
        made.append((bundle.name, bundle.read_bytes(), bundle.stat().st_mode & 0o777))
    assert made[0] == made[1] == made[2]


def test_a_verification_changes_no_bundle(small: Artifact, tmp_path: Path) -> None:
    copy = Artifact(shutil.copytree(small.path, tmp_path / "copy.edge"), small.manifest)
    before = write(copy, "bundle", tmp_path / "a").read_bytes()
    (copy.path / "verification.json").write_text("{}")
    assert write(copy, "bundle", tmp_path / "b").read_bytes() == before


def test_the_date_inside_is_source_date_epoch(small: Artifact, tmp_path: Path) -> None:
    date = source_date({"SOURCE_DATE_EPOCH": "1700000000"})
    bundle = write(small, "bundle", tmp_path, PackageOptions(date=date))
    with zipfile.ZipFile(io.BytesIO(bundle.read_bytes())) as archive:
        dates = {member.date_time for member in archive.infolist()}
    assert dates == {(2023, 11, 14, 22, 13, 20)}
    assert b"2023-11-14T22:13:20+00:00" in contents(bundle)["sbom.cdx.json"]
    assert source_date({}) == source_date({"SOURCE_DATE_EPOCH": ""}) == 315532800


@pytest.mark.parametrize("text", ["yesterday", "-1", "0", "1e9", "99999999999"])
def test_an_impossible_date_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"EC2561.*bad SOURCE_DATE_EPOCH.*no number of seconds"):
        source_date({"SOURCE_DATE_EPOCH": text})


def test_a_bundle_becomes_the_artifact_again(small: Artifact, tmp_path: Path) -> None:
    opened = open_bundle(write(small, "bundle", tmp_path / "out"), tmp_path / "artifact")
    assert opened.manifest == small.manifest
    for name in (*small.manifest.files, MANIFEST):
        assert (opened.path / name).read_bytes() == (small.path / name).read_bytes()


def test_other_packages_hold_no_artifact(tmp_path: Path, small: Artifact) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    record = {"artifact": "", "date": 315532800, "files": {}, "format": "cmake", "key_id": "", "name": "n"}
    record |= {"kind": "edgecompile package", "schema_version": 1, "target": "host", "version": "1.0.0"}
    (folder / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"EC3574.*no artifact in this package.*its format is cmake"):
        open_bundle(folder, tmp_path / "artifact")


def test_packaging_is_fast_and_loads_no_compiler(small: Artifact, tmp_path: Path) -> None:
    script = (
        "import sys, time; begin = time.process_time()\n"
        "from edgecompile.cli.main import main\n"
        f"assert main(['package', {str(small.path)!r}, '-f', 'bundle', '-o', {str(tmp_path)!r}]) == 0\n"
        "heavy = {'tvm', 'torch', 'onnx', 'onnxruntime', 'onnx_ir'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert time.process_time() - begin < 2\n"
    )
    run(sys.executable, "-c", script, cwd=Path(__file__).parent.parent.parent)
