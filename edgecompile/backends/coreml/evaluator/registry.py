"""The table of operations that can be executed: one function for each, registered where it is defined.

A function takes the parameters of the operation by the names that they have in MIL, real numbers widened to
float32 and constants as arrays of rank 0 or more, and returns the result or a tuple of them. Its defaults are
those of MIL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def computes(*types: str) -> Callable[[Function], Function]:
    """Register a function for these operations."""

    def register(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(types, function))
        return function

    return register
