"""The table of operators that can be written: one function for each, registered where it is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecompile.backends.tflite.view import NodeView

Writer = Callable[["NodeView"], None]

WRITERS: dict[str, Writer] = {}


class NotExpressible(Exception):
    """Why TensorFlow Lite has no operator, or sequence of them, that gives these integers."""


def writes(*op_types: str) -> Callable[[Writer], Writer]:
    """Register a function for these operators of the integer graph."""

    def register(writer: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(op_types, writer))
        return writer

    return register
