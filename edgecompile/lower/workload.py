"""What a kernel computes, as plain data: the name by which tuning records find it again.

The description holds what decides how fast the kernel can be: operators, attributes, shapes and element types
of a fusion group, and the instruction set. It does not hold what is only passed through: names, the values of
weights, zero points and clamps.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from edgecompile.core.model import tensor_info
from edgecompile.core.target import Isa
from edgecompile.lower.fusion import Group
from edgecompile.lower.registry import constant_value

# Attributes that are numbers in the code and change nothing about it.
_PASSED_THROUGH = frozenset(
    {"x_zero", "y_zero", "a_zero", "b_zero", "lo", "hi", "alpha", "beta", "min", "max"}
)
# What of an instruction set decides about plans, code and speed.
_ISA = ("triple", "cpu", "vector_bits", "registers", "int8", "l1_bytes", "l2_bytes", "intrinsics", "threads")


def describe_group(group: Group, isa: Isa) -> dict[str, Any]:
    """The description of the kernel for `group` on `isa`; equal ones are equal workloads."""
    known: dict[ir.Value, str] = {}
    nodes = [_describe_node(node, known) for node in group.nodes]
    return {
        "name": name_of(group),
        "nodes": nodes,
        "isa": _describe_isa(isa),
    }


def _describe_isa(isa: Isa) -> dict[str, Any]:
    """The instruction set, which for x86 has no name of a processor nor its caches.

    There are too many of them; what is fast on one is found again on all with the same instructions.
    """
    fields = {field: getattr(isa, field) for field in _ISA} | {"features": list(isa.features)}
    if isa.multiprocessors:
        fields["multiprocessors"] = isa.multiprocessors
    if isa.triple.startswith("x86_64"):
        level = {512: "x86-64-v4", 256: "x86-64-v3"}.get(isa.vector_bits, "x86-64")
        fields |= {"cpu": level, "l1_bytes": 0, "l2_bytes": 0}
    return fields


def name_of(group: Group) -> str:
    """A few words for people: the operators and the shape of the result."""
    operators = "+".join(node.op_type for node in group.nodes)
    shape = "x".join(map(str, tensor_info(group.outputs[0]).shape))
    kernel = next(
        (n.attributes["kernel_shape"].value for n in group.nodes if "kernel_shape" in n.attributes), ()
    )
    window = " " + "x".join(map(str, kernel)) if kernel else ""
    return f"{operators}{window} -> {shape}"


def _describe_node(node: ir.Node, known: dict[ir.Value, str]) -> dict[str, Any]:
    """A node; operands of the group are called in0, in1, ..., and results r0, r1, ... in order."""
    inputs = [None if value is None else _describe_operand(value, known) for value in node.inputs]
    attributes = {
        name: _plain(attribute.value)
        for name, attribute in sorted(node.attributes.items())
        if name not in _PASSED_THROUGH
    }
    results = []
    for value in node.outputs:
        known[value] = f"r{sum(name.startswith('r') for name in known.values())}"
        results.append(_type(value) if value.name else None)
    described: dict[str, Any] = {"op": node.op_type, "in": inputs, "out": results}
    if node.domain:
        described["domain"] = node.domain
    if attributes:
        described["attributes"] = attributes
    return described


def _describe_operand(value: ir.Value, known: dict[ir.Value, str]) -> Any:
    if constant_value(value) is not None:
        return ["constant", *_type(value)]
    if value not in known:
        known[value] = f"in{sum(name.startswith('in') for name in known.values())}"
    return [known[value], *_type(value)]


def _type(value: ir.Value) -> list[Any]:
    info = tensor_info(value)
    return [info.dtype, list(info.shape)]


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, int | float | str | bool) or value is None else repr(value)
