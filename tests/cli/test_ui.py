"""Sizes, tables, progress and colors."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.cli import ui
from edgecompile.errors import Problem, UsageError


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 kB"),
        (49152, "48.0 kB"),
        (655360, "640.0 kB"),
        (2 << 20, "2.0 MB"),
    ],
)
def test_a_kilobyte_is_1024_bytes(count: int, text: str) -> None:
    assert ui.size(count) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [("65536", 65536), ("64k", 65536), ("64 kB", 65536), ("2M", 2 << 20), ("2mb", 2 << 20), ("7B", 7)],
)
def test_sizes_are_read(text: str, count: int) -> None:
    assert ui.parse_size(text, "--max-ram") == count


@given(st.integers(0, 2**40))
def test_plain_numbers_are_bytes(count: int) -> None:
    assert ui.parse_size(str(count), "--max-ram") == count


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5M", "64 apples", "²"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        ui.parse_size(text, "--max-ram")
    assert "EC2003" in str(caught.value)
    assert "at '--max-ram'" in str(caught.value)


def test_no_size_is_no_limit() -> None:
    assert ui.parse_size(None, "--max-ram") is None


def test_table_aligns_figures_to_the_right() -> None:
    text = ui.table(("KERNEL", "µs"), [("conv", "1,200.5"), ("softmax", "-"), ("copy", "3.0")])
    assert text.splitlines() == [
        "KERNEL        µs",
        "conv     1,200.5",
        "softmax        -",
        "copy         3.0",
    ]


def test_table_without_rows_is_its_header() -> None:
    assert ui.table(("A", "B"), []) == "A  B"


def test_progress_is_a_plain_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with ui.working("compiling net for host"):
        pass
    printed = capsys.readouterr()
    assert printed.err == "compiling net for host ...\n"
    assert printed.out == ""


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_colors_only_on_a_terminal_that_wants_them(
    no_color: str, colored: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    ui.fail([Problem("EC1000", "broken")], 1, as_json=False)
    text = capsys.readouterr().err
    assert ("\x1b[" in text) is colored
    assert "broken" in text
