"""Names that are safe in generated C."""

from __future__ import annotations

import re

_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long"
    " main register restrict return short signed sizeof static struct switch typedef union unsigned void"
    " volatile while".split()
)


def c_identifier(text: str) -> str:
    """`text` in lower case as a C identifier: other characters become single underscores."""
    word = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_") or "network"
    return f"n_{word}" if word[0].isdigit() or word in _KEYWORDS else word
