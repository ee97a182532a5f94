"""Execute ONNX nodes on PyTorch tensors, so that results can be differentiated.

    results = run(model.graph.graph, {"x": x}, overrides={"conv/weight": candidate})

The operators are those of canonical float graphs (opset 18 and above), one small function each in
edgecompile/torch/functions/. Gradients reach whatever tensor is given: inputs, weights, any tensor between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgecompile.errors import Problem, UnsupportedError, UsageError
from edgecompile.passes.edit import Array, constant_of
from edgecompile.torch.functions import (
    contractions,
    elementwise,
    movement,
    normalization,
    reductions,
    resize,
    windows,
)
from edgecompile.torch.functions.call import Call, Function

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        **contractions.TABLE,
        **elementwise.TABLE,
        **movement.TABLE,
        **normalization.TABLE,
        **reductions.TABLE,
        **resize.TABLE,
        **windows.TABLE,
    }
)


def run(
    nodes: Iterable[ir.Node],
    feeds: Mapping[str, Tensor],
    overrides: Mapping[str, Tensor] | None = None,
    wanted: Collection[str] | None = None,
    through: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> dict[str, Tensor]:
    """The tensors called `wanted` that `nodes` compute, all of them if None; nodes are in a graph's order.

    `feeds` has the tensors that the nodes read and do not compute; constants of the graph are found by
    themselves, but see `constants`. Whoever reads a tensor named in `overrides` gets that one instead of what
    is constant or computed. Tensors named in `through` are replaced by what the function makes of them, as
    soon as they are computed; a fed one is taken as it is.

    Raises UnsupportedError for an operator that is not known (EC4391, all such nodes at once) or a form of
    one (EC4392), UsageError (EC2393) for a tensor that nobody gives.
    """
    nodes = list(nodes)
    require_supported(nodes)
    overrides, through = overrides or {}, through or {}
    values = {**feeds, **overrides}
    last = {} if wanted is None else _last_readers(nodes)
    results = {}
    for node in nodes:
        outputs = FUNCTIONS[node.op_type](Call(node, tuple(_read(node, v, values) for v in node.inputs)))
        for value, tensor in zip(
            node.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True
        ):
            name = str(value.name)
            if name not in overrides:
                values[name] = through[name](tensor) if name in through else tensor
            if wanted is None or name in wanted:
                results[name] = values[name]
        for name in last.get(node, ()):
            values.pop(name, None)
    return results


def constants(nodes: Iterable[ir.Node]) -> dict[str, Tensor]:
    """The constants that `nodes` read, by name: feed them where the same nodes run many times."""
    found = {}
    for value in dict.fromkeys(value for node in nodes for value in node.inputs if value is not None):
        array = constant_of(value)
        if array is not None:
            found[str(value.name)] = _tensor(array)
    return found


def require_supported(nodes: Iterable[ir.Node], fix: str = "") -> None:
    """Raise UnsupportedError (EC4391) with the `fix`, naming all nodes whose operator is not known here."""
    problems = [
        Problem(
            "EC4391",
            f"the operator {node.domain + '.' if node.domain else ''}{node.op_type} cannot be differentiated",
            str(node.name),
            "it has no function of PyTorch tensors",
            fix,
        )
        for node in nodes
        if node.domain or node.op_type not in FUNCTIONS
    ]
    if problems:
        raise UnsupportedError(*problems)


def _read(node: ir.Node, value: ir.Value | None, values: Mapping[str, Tensor]) -> Tensor | None:
    if value is None:
        return None
    given = values.get(str(value.name))
    if given is not None:
        return given
    array = constant_of(value)
    if array is None:
        fix = "give it in feeds"
        raise UsageError(
            Problem("EC2393", f"the tensor '{value.name}' has no value", str(node.name), "", fix)
        )
    return _tensor(array)


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array))


def _last_readers(nodes: Iterable[ir.Node]) -> dict[ir.Node, list[str]]:
    """For each node the tensors that nobody reads after it."""
    last = {str(value.name): node for node in nodes for value in node.inputs if value is not None}
    found: dict[ir.Node, list[str]] = {}
    for name, node in last.items():
        found.setdefault(node, []).append(name)
    return found
