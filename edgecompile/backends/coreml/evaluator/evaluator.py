"""Executes a program: every value is stored as the program declares it, and computed in float32.

So a float16 value is rounded once, where an operation ends. Sums within an operation are float32; what sums
the Apple Neural Engine makes in which precision is not public.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array, Operation, Program, Result
from edgecompile.backends.coreml.evaluator.registry import FUNCTIONS
from edgecompile.errors import InternalError, Problem

for _family in (
    "compressed",
    "contractions",
    "elementwise",
    "images",
    "movement",
    "normalization",
    "recurrent",
):
    import_module(f"edgecompile.backends.coreml.evaluator.{_family}")


class Evaluator:
    """A program that can be called; constants, the expanded ones included, are made once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._constants: dict[str, Any] = {}
        self._steps: list[Operation] = []
        for operation in program.operations:
            if operation.type == "const":
                self._constants[operation.results[0].name] = operation.given["val"]
            elif operation.type.startswith("constexpr_"):
                self._constants |= _execute(operation, self._constants)
            else:
                self._steps.append(operation)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for one sample of `inputs`, in the program's order. Raises InternalError (EC1346)."""
        values = dict(self._constants)
        for result, array in zip(self.program.inputs, inputs, strict=True):
            values[result.name] = array.reshape(result.shape).astype(result.dtype)
        for operation in self._steps:
            values |= _execute(operation, values)
        return [values[result.name].astype(result.dtype) for result in self.program.outputs]


def _execute(operation: Operation, values: dict[str, Any]) -> dict[str, Any]:
    """The results of an operation by name. Raises InternalError (EC1346) for what it does not know."""
    function = FUNCTIONS.get(operation.type)
    if function is None:
        raise _failure(operation, "there is no function for this operation")
    parameters = dict(operation.given)
    for name, source in operation.arguments.items():
        listed = isinstance(source, list)
        parameters[name] = [values[entry] for entry in source] if listed else values[str(source)]
    widened = {name: _widen(value) for name, value in parameters.items()}
    try:
        with np.errstate(all="ignore"):
            found = function(**widened)
    except (TypeError, ValueError, IndexError) as error:
        raise _failure(operation, str(error)) from error
    arrays = found if isinstance(found, (tuple, list)) else (found,)
    return {
        result.name: _store(operation, result, array)
        for result, array in zip(operation.results, arrays, strict=True)
    }


def _widen(value: Any) -> Any:
    if isinstance(value, list):
        return [_widen(entry) for entry in value]
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value


def _store(operation: Operation, result: Result, array: Any) -> Array:
    found = np.asarray(array)
    if found.shape != result.shape:
        raise _failure(operation, f"the program declares {result.shape}, the result is {found.shape}")
    with np.errstate(all="ignore"):
        return found.astype(result.dtype, copy=False)


def _failure(operation: Operation, why: str) -> InternalError:
    what = f"'{operation.type}' of a Core ML program cannot be executed"
    return InternalError(Problem("EC1346", what, operation.name, why))
