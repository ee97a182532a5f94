"""Files and folders that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.core.store import check_writable, staged_directory, write_file
from edgecompile.errors import InputError


def test_a_file_is_replaced_and_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_file(tmp_path / "link", b"text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"text"


def test_a_device_is_written_to_and_not_replaced() -> None:
    check_writable(Path("/dev/null"))
    write_file(Path("/dev/null"), b"text")
    assert Path("/dev/null").is_char_device()


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fchmod", fail)
    with pytest.raises(InputError, match=r"EC3032.*net\.onnx': No space left on device"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_all_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    check_writable(tmp_path / "new", None)
    with pytest.raises(InputError) as caught:
        check_writable(tmp_path, tmp_path / "none" / "new")
    assert [problem.why for problem in caught.value.problems] == [
        "it is a folder",
        "No such file or directory",
    ]
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "precious").touch()
    for destination, message in ((tmp_path / "letters", "not an artifact"), (Path(__file__), "is a file")):
        with pytest.raises(InputError, match=f"EC3031.*{message}"), staged_directory(destination):
            pytest.fail("the block must not be entered")
    assert (tmp_path / "letters" / "precious").exists()
