"""Sessions in tests of tuning know no shipped records, whatever these say today."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.tuning import shipped


@pytest.fixture(autouse=True)
def nothing_shipped(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path_factory.getbasetemp() / "nothing"
    monkeypatch.setattr(shipped, "data_folder", lambda name: Path(empty, name))
