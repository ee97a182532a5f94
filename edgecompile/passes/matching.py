"""Questions that pattern passes ask about a graph: constants, single readers, and small formulas.

Exporters spell one formula in many ways: 0.5 * x * (1 + t), x * (0.5 + 0.5 * t), x * (1 + t) / 2. So
instead of one pattern a spelling, the formula between two values is evaluated symbolically, as a polynomial
in x with numbers as coefficients, and compared with the wanted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from edgecompile.passes.edit import constant_of

# What a polynomial is made of.
_ALGEBRA = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Pow", "Identity"})
_MAX_DEGREE = 4

# Exponents of the variables -> coefficient; {(1, 0): 2.0} is 2 * first variable.
Polynomial = dict[tuple[int, ...], float]


def scalar(value: ir.Value | None) -> float | None:
    """The number that a constant of one element holds, else None."""
    array = constant_of(value)
    is_number = array is not None and array.size == 1 and array.dtype.kind in "fiu"
    return float(array.item()) if array is not None and is_number else None


def close(value: float | None, wanted: float, dtype: ir.DataType | None) -> bool:
    """Whether `value` is `wanted` as far as exporters and the precision of `dtype` keep it."""
    if value is None:
        return False
    tolerance = 1e-3 if dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) else 1e-5
    return abs(value - wanted) <= tolerance * max(abs(wanted), 1e-3)


def produced_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that computes `value`, when it is one of ONNX's operators `op_types`."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.domain == "" and node.op_type in op_types else None


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads `value`, when nobody else does (graph outputs count as readers)."""
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def other_input(node: ir.Node, value: ir.Value) -> ir.Value | None:
    """The other operand of a binary node; None when both are `value` or one is missing."""
    first, second = node.inputs
    if first is second:
        return None
    return second if first is value else first


def ancestors(value: ir.Value, op_types: frozenset[str] = _ALGEBRA) -> list[ir.Value]:
    """Non-constant values that `value` is computed from by `op_types` only, nearest first, at most 32."""
    found = [value]
    for item in found:
        node = produced_by(item, *op_types)
        if node is not None and len(found) < 32:
            found += [v for v in node.inputs if v is not None and constant_of(v) is None and v not in found]
    return found


def descendants(value: ir.Value, op_types: frozenset[str] = _ALGEBRA) -> list[ir.Value]:
    """`value` and what is computed from it by `op_types` only, nearest first, at most 32 values."""
    found = [value]
    for item in found:
        for node in item.consumers():
            if node.domain == "" and node.op_type in op_types and len(found) < 32:
                found += [output for output in node.outputs if output not in found]
    return found


def polynomial(value: ir.Value, variables: Sequence[ir.Value]) -> Polynomial | None:
    """`value` as a polynomial in `variables`, None when it is something else (or of a degree above 4)."""
    if value in variables:
        return {tuple(int(value is variable) for variable in variables): 1.0}
    number = scalar(value)
    if number is not None:
        return {(0,) * len(variables): number}
    node = produced_by(value, *_ALGEBRA)
    if node is None:
        return None
    operands = [polynomial(operand, variables) for operand in node.inputs if operand is not None]
    if any(operand is None for operand in operands):
        return None
    return _combine(node.op_type, [operand for operand in operands if operand is not None])


def same_polynomial(found: Polynomial | None, wanted: Polynomial, dtype: ir.DataType | None) -> bool:
    """Whether all coefficients are `close`; those that cancelled out may be missing."""
    if found is None:
        return False
    return all(close(found.get(key, 0.0), wanted.get(key, 0.0), dtype) for key in {*found, *wanted})


def is_enclosed(result: ir.Value, leaves: Iterable[ir.Value]) -> bool:
    """Whether nobody outside reads what is computed between `leaves` (excluded) and `result`."""
    borders = set(leaves)
    inside: set[ir.Node] = set()
    pending = [result]
    while pending:
        value = pending.pop()
        node = value.producer()
        if value in borders or node is None or node in inside:
            continue
        inside.add(node)
        pending += [operand for operand in node.inputs if operand is not None]
    inner = [value for node in inside for value in node.outputs if value is not result]
    return not any(value.is_graph_output() or set(value.consumers()) - inside for value in inner)


def _combine(op_type: str, operands: list[Polynomial]) -> Polynomial | None:
    first = operands[0]
    if op_type == "Identity":
        return first
    if op_type == "Neg":
        return _scale(first, -1.0)
    second = operands[1]
    if op_type == "Add":
        return _add(first, second)
    if op_type == "Sub":
        return _add(first, _scale(second, -1.0))
    if op_type == "Mul":
        return _multiply(first, second)
    number = _as_number(second)
    if number is None:
        return None
    if op_type == "Div":
        return _scale(first, 1.0 / number) if number else None
    return _power(first, number)


def _as_number(operand: Polynomial) -> float | None:
    return next(iter(operand.values())) if all(not any(key) for key in operand) else None


def _scale(operand: Polynomial, factor: float) -> Polynomial:
    return {key: value * factor for key, value in operand.items()}


def _add(first: Polynomial, second: Polynomial) -> Polynomial:
    return {key: first.get(key, 0.0) + second.get(key, 0.0) for key in {**first, **second}}


def _multiply(first: Polynomial, second: Polynomial) -> Polynomial | None:
    product: Polynomial = {}
    for left, a in first.items():
        for right, b in second.items():
            key = tuple(x + y for x, y in zip(left, right, strict=True))
            product[key] = product.get(key, 0.0) + a * b
    return product if all(sum(key) <= _MAX_DEGREE for key in product) else None


def _power(base: Polynomial, exponent: float) -> Polynomial | None:
    if exponent not in (1.0, 2.0, 3.0):
        return None
    result: Polynomial | None = base
    for _ in range(int(exponent) - 1):
        result = _multiply(result, base) if result is not None else None
    return result
