"""What a rewrite of contractions gives."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompile.core.model import Model


@dataclass(frozen=True)
class Rewritten:
    """The network after it, and the names of the nodes whose computation or weights it changed."""

    model: Model
    layers: tuple[str, ...]
