"""One fusion group -> one TIR function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from tvm import te, tirx

from edgecompile.core.model import tensor_info
from edgecompile.core.target import Isa
from edgecompile.core.tensor import TensorInfo
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.schedule import schedule_for_gpu
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.loop_space import LoopSpace
from edgecompile.kernels.schedules.parallel import share_out
from edgecompile.kernels.schedules.space import PlanChoice, UsualPlan
from edgecompile.lower.compact import Compact, compact_value, read_compact
from edgecompile.lower.fusion import Group
from edgecompile.lower.registry import Kind, NodeView, Tensor, constant_value, find_op


@dataclass(frozen=True)
class Kernel:
    """A group's computation: `function` takes `reads` then `writes` as buffers.

    `weights` are the constants among `reads`, by the name used there.
    """

    function: tirx.PrimFunc
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    weights: dict[str, np.ndarray]
    in_place: tuple[int, ...]


def build_kernel(group: Group, isa: Isa, plans: PlanChoice | None = None) -> Kernel:
    """Compose the compute definitions of the group's nodes, with plans by `plans` or the usual ones.

    Raises UnsupportedError for what they refuse.
    """
    composer = _Composer(isa, plans or UsualPlan())
    for node in group.nodes:
        composer.add(node)
    outputs = group.outputs
    writes = tuple(str(value.name) for value in outputs)
    results = [_as_output(composer.tensors[value], tensor_info(value)) for value in outputs]
    used = _used_placeholders(results)
    reads = {name: tensor for name, tensor in composer.parameters.items() if tensor.op in used}
    function = te.create_prim_func([*reads.values(), *results])
    loops = composer.plans.choose(LoopSpace(function, isa))
    assert isinstance(loops, LoopPlan)
    function = loops.attach(function)
    weights = {name: array for name, array in composer.weights.items() if name in reads}
    in_place = _in_place(group, tuple(reads), weights)
    return Kernel(function, tuple(reads), writes, weights, in_place)


def schedule_kernel(function: tirx.PrimFunc, isa: Isa) -> tirx.PrimFunc:
    """`function` as it is compiled: by its plan for `isa`, or by the usual schedule."""
    if isa.multiprocessors:
        return schedule_for_gpu(function, Gpu(isa.multiprocessors))
    return share_out(schedule_default(function, isa), isa.threads)


class _Composer:
    """Collects the tensors of a group: parameters from outside, results of its nodes."""

    def __init__(self, isa: Isa, plans: PlanChoice) -> None:
        self.isa, self.plans = isa, plans
        self.parameters: dict[str, Tensor] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.tensors: dict[ir.Value, Tensor] = {}

    def add(self, node: ir.Node) -> None:
        row = find_op(node)
        assert row is not None, f"{node.op_type} has no row in the operator table"
        inputs = tuple(
            None if value is None or index in row.static else self._input(value)
            for index, value in enumerate(node.inputs)
        )
        view = NodeView(node, inputs, self.isa, self.plans)
        built = row.build(view)
        for label, (tensor, array) in view.new_weights.items():
            self.parameters[label] = tensor
            self.weights[label] = array
        results = list(built) if isinstance(built, Sequence) else [built]
        self.tensors.update(zip(node.outputs, results, strict=False))

    def _input(self, value: ir.Value) -> Tensor:
        if value not in self.tensors:
            self.tensors[value] = self._parameter(value)
        return self.tensors[value]

    def _parameter(self, value: ir.Value) -> Tensor:
        """A placeholder, or for a scalar constant its value in the code itself."""
        compact = compact_value(value)
        if compact is not None and compact.array.size > 1:
            return self._widened(str(value.name), compact)
        name, info, array = str(value.name), tensor_info(value), constant_value(value)
        if array is not None and array.size == 1:
            scalar = tirx.const(array.reshape(()).item(), info.dtype)
            return te.compute(info.shape, lambda *_: scalar, name="scalar")
        tensor = te.placeholder(info.shape, info.dtype, name=f"p{len(self.parameters)}")
        self.parameters[name] = tensor
        if array is not None:
            self.weights[name] = np.ascontiguousarray(array)
        return tensor

    def _widened(self, name: str, compact: Compact) -> Tensor:
        """A constant that is widened where it is read."""
        tensor, stored = read_compact(compact, self.isa)
        for label, (placeholder, array) in stored.items():
            self.parameters[f"{name}:{label}"] = placeholder
            self.weights[f"{name}:{label}"] = array
        return tensor


def _as_output(tensor: Tensor, info: TensorInfo) -> Tensor:
    """The tensor itself; a copy where a node returned one of its parameters unchanged."""
    shape = tuple(int(extent) for extent in tensor.shape)
    if shape != info.shape or str(tensor.dtype) != info.dtype:
        raise AssertionError(f"{info.name}: built {shape} {tensor.dtype}, expected {info.shape} {info.dtype}")
    if isinstance(tensor.op, te.PlaceholderOp):
        return te.compute(info.shape, lambda *i: tensor(*i), name="copy")
    return tensor


def _used_placeholders(results: list[Tensor]) -> set[te.Operation]:
    seen: set[te.Operation] = set()
    stack = [result.op for result in results]
    while stack:
        operation = stack.pop()
        if operation not in seen:
            seen.add(operation)
            stack += [tensor.op for tensor in operation.input_tensors]
    return seen


def _in_place(group: Group, reads: tuple[str, ...], weights: dict[str, np.ndarray]) -> tuple[int, ...]:
    """Inputs that a purely elementwise kernel of one result may overwrite: same shape and element size."""
    rows = [find_op(node) for node in group.nodes]
    if len(group.outputs) != 1 or any(row is None or row.kind is not Kind.ELEMENTWISE for row in rows):
        return ()
    result = tensor_info(group.outputs[0])
    values = {str(v.name): v for node in group.nodes for v in node.inputs if v is not None}
    candidates = []
    for index, name in enumerate(reads):
        info = tensor_info(values[name]) if name in values and name not in weights else None
        if info and info.shape == result.shape and info.nbytes == result.nbytes:
            candidates.append(index)
    return tuple(candidates)
