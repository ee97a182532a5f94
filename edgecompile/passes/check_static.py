"""The promise that canonicalisation makes to all that follows, checked: everything is known at compile time.

Changes nothing. Every tensor has a static shape and a numeric type, fits into memory, and comes from an
operator that gives the same result every time.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.errors import InputError, Problem, UnsupportedError
from edgecompile.passes.edit import RANDOM_OPERATORS, constant_of, nbytes_of, static_shape

MAX_TENSOR_BYTES = 1 << 32


class CheckStatic:
    """Raises UnsupportedError listing each node that breaks the promise, and InputError for absurd sizes.

    EC4211 shape depends on data, EC4212 not a tensor of numbers, EC4213 random, EC4214 training mode;
    EC3202 tensor too large.
    """

    name = "check_static"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        nodes = list(model.graph.graph.all_nodes())
        huge = [problem for node in nodes for problem in _check_size(node)]
        if huge:
            raise InputError(*huge)
        problems = [problem for node in nodes for problem in _check_node(node)]
        if problems:
            raise UnsupportedError(*problems)
        return PassResult(model, False)


def _check_size(node: ir.Node) -> Iterator[Problem]:
    for value in node.outputs:
        size = nbytes_of(value)
        if size is not None and size > MAX_TENSOR_BYTES:
            why = f"{size} bytes of shape {static_shape(value)}"
            what = f"tensor '{value.name}', result of {node.op_type}, is too large"
            yield Problem("EC3202", what, node.name or "", why, "use smaller dimensions")


def _check_node(node: ir.Node) -> Iterator[Problem]:
    name = node.name or ""
    if node.domain == "" and node.op_type in RANDOM_OPERATORS:
        why = "a compiled network must give the same result every time"
        yield Problem("EC4213", f"{node.op_type} is random", name, why, "make the random tensor an input")
    if node.domain == "" and _is_training(node):
        why, fix = "only inference can be compiled", "export the network in evaluation mode"
        yield Problem("EC4214", f"{node.op_type} is in training mode", name, why, fix)
    if any(_is_dynamic(value) for value in node.inputs if value is not None):
        return  # the cause is further up, and named there
    for value in node.outputs:
        if value.name and _is_dynamic(value):
            yield _explain(node, value)


def _is_dynamic(value: ir.Value) -> bool:
    numbers = isinstance(value.type, ir.TensorType) and value.dtype != ir.DataType.STRING
    return not numbers or static_shape(value) is None


def _explain(node: ir.Node, value: ir.Value) -> Problem:
    name = node.name or ""
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        what = f"'{value.name}', result of {node.op_type}, is not a tensor but {value.type}"
        return Problem("EC4212", what, name, "", "export the network without sequences and optionals")
    if value.dtype == ir.DataType.STRING:
        fix = "process text before the network"
        return Problem("EC4212", f"{node.op_type} computes strings", name, "", fix)
    inputs = [entry.name for entry in node.inputs if entry is not None and constant_of(entry) is None]
    why = f"the shape of '{value.name}' depends on the values of {', '.join(map(repr, inputs))}"
    fix = "make the input that decides it a constant, or export the network with fixed shapes"
    return Problem("EC4211", f"the result of {node.op_type} has no fixed shape", name, why, fix)


def _is_training(node: ir.Node) -> bool:
    if node.op_type == "BatchNormalization":
        return bool(node.attributes.get_int("training_mode", 0))
    if node.op_type != "Dropout" or len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    flag = constant_of(node.inputs[2])
    return flag is None or bool(flag.any())
