"""The filled operator table."""

from __future__ import annotations

import edgecompile.lower.ops  # noqa: F401  (importing the families registers their rows)
from edgecompile.lower.registry import known_operators


def lowered_operators() -> frozenset[tuple[str, str]]:
    """(domain, operator) pairs that are lowered as they are; others must be expanded or refused."""
    return known_operators()
