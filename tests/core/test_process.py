from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from edgecompile.core.process import Finished, find_program, find_zig, run_program, zig_environment
from edgecompile.errors import MissingToolError


def test_streams_and_status_come_back(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); print('bad', file=sys.stderr); sys.exit(5)"
    finished = run_program([sys.executable, "-c", code], cwd=tmp_path)
    assert finished == Finished(5, f"{tmp_path}\n", "bad\n")
    assert finished.last_words == "bad"


def test_signal_is_a_negative_status() -> None:
    finished = run_program([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert finished.status == -9


def test_input_is_empty_and_messages_are_english() -> None:
    code = "import os, sys; print(repr(sys.stdin.read()), os.environ['LC_ALL'], os.environ['EXTRA'])"
    finished = run_program([sys.executable, "-c", code], environment={"EXTRA": "7"})
    assert finished.stdout == "'' C 7\n"


def test_timeout_kills_the_program_and_its_children(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    script = f"(sleep 2; touch {marker}) & wait"
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"sh took longer than 0\.3 s"):
        run_program(["sh", "-c", script], timeout_s=0.3)
    assert time.monotonic() - begin < 2
    time.sleep(2.2)
    assert not marker.exists()


def test_a_child_that_stays_behind_does_not_hold_the_caller() -> None:
    begin = time.monotonic()
    finished = run_program(["sh", "-c", "sleep 5 & echo done"])
    assert finished.stdout == "done\n"
    assert time.monotonic() - begin < 4


def test_last_words_prefer_stderr_and_skip_empty_lines() -> None:
    assert Finished(1, "out\n", "first\nlast\n\n").last_words == "last"
    assert Finished(1, "out\n", "").last_words == "out"
    assert Finished(1, "", "").last_words == ""


def test_missing_program_names_the_install_line() -> None:
    with pytest.raises(MissingToolError) as raised:
        find_program("no-such-emulator", "apt install it")
    assert str(raised.value) == "error[EC5001] no-such-emulator not found. Fix: apt install it."


def test_zig_keeps_its_caches_in_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMPILE_CACHE", str(tmp_path))
    assert set(zig_environment().values()) == {str(tmp_path / "zig")}
    zig = find_zig()
    assert zig is not None
    assert run_program([zig, "version"]).status == 0
