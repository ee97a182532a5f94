"""The table of operators that can be written: one function for each, registered where it is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecompile.backends.coreml.view import NodeView

Writer = Callable[["NodeView"], None]

WRITERS: dict[str, Writer] = {}


def writes(*op_types: str) -> Callable[[Writer], Writer]:
    """Register a function for these operators of ONNX."""

    def register(writer: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(op_types, writer))
        return writer

    return register
