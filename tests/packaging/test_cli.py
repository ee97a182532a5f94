"""`edgecompile package` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecompile.cli.main import main
from edgecompile.core.artifact import Artifact
from tests.packaging.test_sign import keys

Capture = pytest.CaptureFixture[str]


def test_make_check_and_read_back(small: Artifact, tmp_path: Path, capsys: Capture) -> None:
    private, public = keys(tmp_path, 1)
    arguments = ["package", str(small.path), "--format", "bundle", "-o", str(tmp_path), "--key", str(private)]
    assert main([*arguments, "--version", "1.2.3", "--license", "MIT"]) == 0
    bundle = tmp_path / "net-host-1.2.3.bundle"
    assert capsys.readouterr().out == f"wrote    {bundle}\n"
    assert main(["package", "--check", str(bundle)]) == 0
    assert "NOT checked (give --public-key)" in capsys.readouterr().out
    assert main(["package", "--check", str(bundle), "--public-key", str(public)]) == 0
    printed = capsys.readouterr().out
    assert "files, every digest right" in printed
    assert "package    net 1.2.3 (bundle) for host" in printed
    assert "signature  valid, key " in printed
    # A bundle is an artifact, too.
    again = ["package", str(bundle), "-f", "bundle", "-o", str(tmp_path / "again"), "--json"]
    assert main([*again, "--version", "1.2.3", "--license", "MIT", "--key-command", f"cat {private}"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is True
    assert Path(record["written"][0]).read_bytes() == bundle.read_bytes()


def test_check_as_json(small: Artifact, tmp_path: Path, capsys: Capture) -> None:
    assert main(["package", str(small.path), "-f", "bundle", "-o", str(tmp_path)]) == 0
    bundle = next(tmp_path.iterdir())
    capsys.readouterr()
    assert main(["package", "--check", str(bundle), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["ok"], record["signature"], record["format"]) == (True, "none", "bundle")
    assert "artifact/model.onnx" in record["files"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "EC2566] nothing to package: ARTIFACT and --format are needed"),
        (["x.edge"], "EC2566"),
        (
            ["x.edge", "-f", "bundle", "--public-key", "k"],
            "EC2566] nothing to package: --public-key is for --check",
        ),
        (["x.edge", "-f", "bundle", "--key", "a", "--key-command", "b"], "EC2566] two keys"),
        (["x.edge", "-f", "tar"], "EC2560] unknown format 'tar'"),
    ],
)
def test_what_is_not_enough_or_too_much(arguments: list[str], message: str, capsys: Capture) -> None:
    assert main(["package", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_is_no_artifact(tmp_path: Path, capsys: Capture) -> None:
    assert main(["package", str(tmp_path), "-f", "bundle", "-o", str(tmp_path)]) == 3
    assert "EC3040" in capsys.readouterr().err
    (tmp_path / "x.bundle").write_text("hello")
    assert main(["package", str(tmp_path / "x.bundle"), "-f", "cmake", "-o", str(tmp_path / "out")]) == 3
    assert "EC3560" in capsys.readouterr().err


def test_the_list_of_formats(capsys: Capture) -> None:
    assert main(["package", "--list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["FORMAT", "WHAT", "WEIGHTS"]
    assert "inside, section, partition, file" in next(row for row in rows if row.startswith("cmake"))
    assert main(["package", "--list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["formats"]) == len(rows) - 1
