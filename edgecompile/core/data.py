"""The folders of data that travel with the package: targets and tuning records."""

from __future__ import annotations

from pathlib import Path


def data_folder(name: str) -> Path:
    """The folder `name`: inside an installed package, or at the root of the repository."""
    package = Path(__file__).parent.parent
    packaged = package / "_data" / name
    return packaged if packaged.is_dir() else package.parent / name
