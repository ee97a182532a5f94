"""Plug-ins are found in installed packages; a broken one is named and skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.core.registry import load_plugins


def install(site: Path, package: str, entries: str, code: str = "") -> None:
    """An installed package with entry points of the group "edgecompile.tests"."""
    (site / f"{package}.py").write_text(code)
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[edgecompile.tests]\n{entries}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_nothing_installed() -> None:
    plugins = load_plugins("edgecompile.tests")
    assert plugins.found == {}
    assert plugins.warnings == ()


def test_plugins_are_found_by_name(site: Path) -> None:
    install(site, "good_plugin", "board = good_plugin:board", "def board():\n    return 'here'\n")
    plugins = load_plugins("edgecompile.tests")
    assert plugins.found["board"]() == "here"
    assert plugins.warnings == ()


def test_broken_plugins_are_named_and_skipped(site: Path) -> None:
    install(site, "good_plugin2", "board = good_plugin2:board", "board = 1\n")
    install(site, "crashing_plugin", "crash = crashing_plugin:board", "raise RuntimeError('no licence')\n")
    install(site, "old_plugin", "old = old_plugin:renamed")
    plugins = load_plugins("edgecompile.tests")
    assert list(plugins.found) == ["board"]
    crash, old = plugins.warnings
    assert crash == "plug-in 'crash' (crashing_plugin:board) skipped: RuntimeError: no licence"
    assert old.startswith("plug-in 'old' (old_plugin:renamed) skipped: AttributeError:")


def test_a_name_that_is_taken_is_reported(site: Path) -> None:
    install(site, "first_plugin", "board = first_plugin:board", "board = 1\n")
    install(site, "second_plugin", "board = second_plugin:board", "board = 2\n")
    plugins = load_plugins("edgecompile.tests")
    assert plugins.found == {"board": 1}
    assert plugins.warnings == ("plug-in 'board' (second_plugin:board) skipped: the name is taken",)
