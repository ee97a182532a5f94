"""What schedules that write their own loops do with expressions and functions of a definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T
from tvm_ffi.structural import structural_map, structural_walk

from edgecompile.kernels.math import Expr


def mentions(expression: Any, *variables: Any) -> bool:
    """Whether an expression or statement depends on any of `variables`."""
    found: list[Any] = []
    structural_walk(expression, [(tirx.Var, found.append)])
    return any(variable.same_as(other) for variable in variables for other in found)


def substitute(expression: Any, variables: Sequence[Any], values: Sequence[Expr]) -> Any:
    """`expression` with values in the place of variables, which it need not have."""

    def replace(variable: Any) -> Expr:
        for own, value in zip(variables, values, strict=True):
            if own.same_as(variable):
                return tirx.const(value, "int32") if isinstance(value, int) else value
        return variable

    return structural_map(expression, [(tirx.Var, replace)])


def sequence(statements: Sequence[Any]) -> Any:
    """`statements`, at least one, as a single one."""
    return statements[0] if len(statements) == 1 else tirx.SeqStmt(list(statements))


def with_loops(function: tirx.PrimFunc, emit: Callable[[], None]) -> tirx.PrimFunc:
    """`function` with the statements that `emit` emits as its body."""
    with IRBuilder() as builder:
        with T.seq_scope():
            emit()
        body = builder.get().body
    return tirx.PrimFunc(function.params, body, function.ret_type, function.attrs)
