"""A canonical graph becomes a Program: kernels, the order of their calls, and who owns which bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
from tvm import tirx
from tvm_ffi.structural import structural_equal, structural_hash

import edgecompile.lower.ops  # noqa: F401  (fills the operator table)
from edgecompile.core import calls
from edgecompile.core.model import Model, tensor_info
from edgecompile.core.target import Isa
from edgecompile.core.tensor import C_TYPES, TensorInfo
from edgecompile.errors import EdgeCompileError, Problem, UnsupportedError
from edgecompile.kernels.schedules.space import PlanChoice, UsualPlan
from edgecompile.lower.compact import keep_compact
from edgecompile.lower.fusion import Group, fuse
from edgecompile.lower.kernel import Kernel, build_kernel
from edgecompile.lower.program import Alias, Program, Step
from edgecompile.lower.registry import Kind, constant_value, find_op
from edgecompile.lower.unfuse import split_fused_operators

_MAX_SYMBOL_OPS = 4


@dataclass(frozen=True)
class LoweredGraph:
    """`program` and the unscheduled functions of its kernels by symbol.

    Equal computations share one function, so a network of repeated blocks stays small in flash.
    """

    program: Program
    functions: dict[str, tirx.PrimFunc]
    kinds: dict[str, Kind]


# Who chooses the plans of the kernel for a group.
PlansOf: TypeAlias = Callable[[Group, Isa], PlanChoice]


def usual_plans(group: Group, isa: Isa) -> PlanChoice:
    """The analytic choice for every kernel."""
    return UsualPlan()


def lower_graph(model: Model, name: str, isa: Isa, plans: PlansOf = usual_plans) -> LoweredGraph:
    """Lower `model` for `isa`; kernel symbols begin with `name`.

    Raises UnsupportedError listing every node that cannot be compiled.
    """
    model = prepare(model)
    builder = _Builder(model, name, isa, plans)
    for group in fuse(model.graph.graph, isa):
        builder.add(group)
    builder.finish()
    return builder.result()


def prepare(model: Model) -> Model:
    """`model` in the form that is partitioned into kernels. Raises UnsupportedError as `lower_graph` does."""
    model = split_fused_operators(model)
    keep_compact(model)
    check_supported(model)
    return model


def check_supported(model: Model) -> None:
    """Raise UnsupportedError (EC4010) naming every node without a row in the table or of an odd type."""
    problems = []
    for node in model.graph.graph:
        if find_op(node) is None and node.domain != calls.DOMAIN:
            domain = f"{node.domain}::" if node.domain else ""
            what = f"operator {domain}{node.op_type} is not supported"
            problems.append(Problem("EC4010", what, node.name or "?", "", "express it by other operators"))
    values = [v for node in model.graph.graph for v in node.outputs if v.name]
    for value in [*model.graph.graph.inputs, *values]:
        info = tensor_info(value)
        if info.dtype not in C_TYPES:
            why = f"element type {info.dtype}"
            problems.append(Problem("EC4011", "tensor type cannot be compiled", info.name, why, "cast it"))
    if problems:
        raise UnsupportedError(*problems)


class _Builder:
    def __init__(self, model: Model, name: str, isa: Isa, plans: PlansOf) -> None:
        self.model, self.name, self.isa, self.plans = model, name, isa, plans
        self.values: dict[str, TensorInfo] = {info.name: info for info in model.inputs}
        self.aliases: dict[str, Alias] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.steps: list[Step] = []
        self.functions: dict[str, tirx.PrimFunc] = {}
        self.kinds: dict[str, Kind] = {}
        self.by_hash: dict[int, list[str]] = {}
        self.problems: list[Problem] = []
        self.owners: list[str] = []

    def add(self, group: Group) -> None:
        if group.kind is Kind.ALIAS and len(group.nodes) == 1:
            self._add_alias(group.nodes[0])
            return
        if group.nodes[0].domain == calls.DOMAIN:
            self._add_function(group.nodes[0])
            return
        if all(tensor_info(value).elements == 0 for value in group.outputs):
            self.values.update({str(v.name): tensor_info(v) for v in group.outputs})
            return
        try:
            kernel = build_kernel(group, self.isa, self.plans(group, self.isa))
        except EdgeCompileError as error:
            self.problems += error.problems
            return
        self._add_call(group, kernel)

    def _add_alias(self, node: ir.Node) -> None:
        source, result = node.inputs[0], node.outputs[0]
        assert source is not None
        array = constant_value(source)
        if array is not None:
            self._add_weight(str(source.name), array)
        self.values[str(result.name)] = tensor_info(result)
        self.aliases[str(result.name)] = Alias(str(source.name), 0)

    def _add_call(self, group: Group, kernel: Kernel) -> None:
        for name, array in kernel.weights.items():
            self._add_weight(name, array)
        self.values.update({str(value.name): tensor_info(value) for value in group.outputs})
        symbol = self._symbol_for(group, kernel.function)
        step = Step(symbol, group.layers, kernel.reads, kernel.writes, in_place=kernel.in_place)
        self.steps.append(step)

    def _add_function(self, node: ir.Node) -> None:
        """A call of a function that somebody else writes: see core/calls.py."""
        inputs = [value for value in node.inputs if value is not None]
        for value in inputs:
            array = constant_value(value)
            if array is not None:
                self._add_weight(str(value.name), array)
        self.values.update({str(value.name): tensor_info(value) for value in node.outputs})
        reads, writes = ([str(value.name) for value in values] for values in (inputs, node.outputs))
        layers = tuple(node.attributes.get_strings(calls.LAYERS, ()) or ())
        workspace = node.attributes.get_int(calls.WORKSPACE, 0)
        self.steps.append(Step(node.op_type, layers, tuple(reads), tuple(writes), workspace))

    def _symbol_for(self, group: Group, function: tirx.PrimFunc) -> str:
        """The symbol of an equal function that is already there, or a new one."""
        key = structural_hash(function)
        for symbol in self.by_hash.setdefault(key, []):
            if structural_equal(self.functions[symbol], function):
                return symbol
        operators = "_".join(_c_word(node.op_type) for node in group.nodes[:_MAX_SYMBOL_OPS])
        symbol = f"{self.name}_k{len(self.functions)}_{operators}"
        self.functions[symbol], self.kinds[symbol] = function, group.kind
        self.by_hash[key].append(symbol)
        return symbol

    def _add_weight(self, name: str, array: np.ndarray) -> None:
        self.weights[name] = array
        self.values[name] = TensorInfo(name, tuple(array.shape), array.dtype.name)

    def finish(self) -> None:
        """Give every graph output bytes of its own: a copy where another value owns them."""
        if self.problems:
            raise UnsupportedError(*self.problems)
        produced = {name for step in self.steps for name in step.writes}
        for value in self.model.graph.graph.outputs:
            if tensor_info(value).elements == 0:
                self.owners.append("")
                continue
            name, array = str(value.name), constant_value(value)
            if array is not None:
                self._add_weight(name, array)
            base, whole = self._base(name)
            if not (base in produced and whole) or base in self.owners:
                base = f"{name}:output{len(self.owners)}"
                self.values[base] = tensor_info(value)
                self.steps.append(Step("", (), (name,), (base,)))
            self.owners.append(base)

    def _base(self, name: str) -> tuple[str, bool]:
        """The value that owns `name`'s bytes, and whether it is the same size."""
        base = name
        while base in self.aliases:
            base = self.aliases[base].base
        return base, self.values[base].nbytes == self.values[name].nbytes

    def result(self) -> LoweredGraph:
        model = self.model
        program = Program(
            model.inputs,
            model.outputs,
            tuple(self.owners),
            self.values,
            self.aliases,
            self.weights,
            tuple(self.steps),
        )
        return LoweredGraph(program, self.functions, self.kinds)


def _c_word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
