"""Turns `let` expressions into statements, each distinct one once.

Composed and inlined compute definitions are deep nests of `let`s. Several of TVM's passes and its LLVM code
generator take time exponential in that depth, because they substitute what they can prove about a variable.
They cannot see through a buffer: so every bound value is stored to a local array (one element for each lane
of a vectorised loop), which the C compiler or LLVM turns into a register again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import tirx
from tvm.ir import Call
from tvm_ffi import StructuralKey, structural_mutate


def lower_lets() -> Any:
    """The pass; to be run once there are loops and stores but no blocks."""

    def run(module: tvm.IRModule, _: Any) -> tvm.IRModule:
        functions = {
            name: function.with_body(_LetLowering().lower(function.body))
            for name, function in module.functions.items()
        }
        return tvm.IRModule(functions, attrs=module.attrs)

    return tvm.transform.module_pass(run, opt_level=0, name="LowerLets")


@dataclass
class _Scope:
    """The statement being lowered: what has been bound for it so far, and how to read it."""

    statements: list[Any] = field(default_factory=list)
    known: dict[StructuralKey, Any] = field(default_factory=dict)


class _LetLowering:
    """One function. `lane` is the variable and extent of the vectorised loop around, if any."""

    def __init__(self) -> None:
        self.scope: _Scope | None = None
        self.lane: tuple[Any, int] | None = None
        self.allocations: list[Any] = []
        self.values: dict[Any, Any] = {}

    def lower(self, body: tirx.Stmt) -> tirx.Stmt:
        callbacks = [
            (tirx.For, self._loop),
            (tirx.BufferStore, self._store),
            (tirx.Let, self._let),
            (Call, self._call),
            (tirx.Var, self._variable),
        ]
        return structural_mutate(body, callbacks)

    def _loop(self, loop: Any, mutator: Any) -> Any:
        """The arrays of a vectorised loop are allocated in front of it."""
        if loop.kind != tirx.ForKind.VECTORIZED:
            return mutator.default_mutate(loop)
        outer, self.lane = self.lane, (loop.loop_var, int(loop.extent))
        lowered = mutator.default_mutate(loop)
        self.lane = outer
        allocations, self.allocations = self.allocations, []
        return tirx.SeqStmt([*allocations, lowered]) if allocations else lowered

    def _store(self, store: Any, mutator: Any) -> Any:
        self.scope = _Scope()
        indices = [mutator.mutate(index) for index in store.indices]
        value = mutator.mutate(store.value)
        statements, self.scope = self.scope.statements, None
        statements.append(tirx.BufferStore(store.buffer, value, indices))
        if self.lane is None:
            statements = [*self.allocations, *statements]
            self.allocations = []
        return tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]

    def _let(self, let: Any, mutator: Any) -> Any:
        if self.scope is None:
            return mutator.default_mutate(let)
        value = mutator.mutate(let.value)
        key = StructuralKey(value)
        if key not in self.scope.known:
            self.scope.known[key] = self._bind(let.var, value)
        self.values[let.var] = self.scope.known[key]
        return mutator.mutate(let.body)

    def _bind(self, variable: Any, value: Any) -> Any:
        """Store `value` to an array of its own; returns the expression that reads it."""
        assert self.scope is not None
        index, extent = self.lane or (tirx.const(0, "int32"), 1)
        array = tirx.decl_buffer((extent,), str(variable.ty.dtype), variable.name)
        self.allocations.append(tirx.AllocBuffer(array))
        self.scope.statements.append(tirx.BufferStore(array, value, [index]))
        return tirx.BufferLoad(array, [index])

    def _call(self, call: Any, mutator: Any) -> Any:
        """What is bound in a branch of if_then_else stays there: it may be invalid outside."""
        if self.scope is None or getattr(call.op, "name", "").split(".")[-1] != "if_then_else":
            return mutator.default_mutate(call)
        condition = mutator.mutate(call.args[0])
        scope, self.scope = self.scope, None
        branches = [mutator.mutate(branch) for branch in call.args[1:]]
        self.scope = scope
        return tirx.if_then_else(condition, *branches)

    def _variable(self, variable: Any, mutator: Any) -> Any:
        return self.values.get(variable, variable)
