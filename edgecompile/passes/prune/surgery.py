"""Make one network of two: one behind the other (`splice`), or one inside of the other (`graft`).

Both check names, shapes and element types first and say all that does not fit at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UnsupportedError, did_you_mean
from edgecompile.passes.edit import static_shape
from edgecompile.passes.prune.remove_layer import describe
from edgecompile.passes.rewriting import finish


def splice(first: Model, second: Model, connect: Mapping[str, str] | None = None) -> Model:
    """A network that feeds outputs of `first` into inputs of `second`.

    `connect` names the input for each output; without it, they go together by name, or else in order. Outputs
    of `first` that feed nothing stay outputs, inputs of `second` that nothing feeds stay inputs. Names of
    `second` that are taken get "/2". Raises UnsupportedError: EC4533 for names that do not exist, EC4534
    where shapes or element types differ, EC4535 where the operator sets do, EC4537 for an input fed twice.
    """
    outputs = {str(value.name): value for value in first.graph.graph.outputs}
    inputs = {str(value.name): value for value in second.graph.graph.inputs}
    pairs = dict(connect) if connect is not None else _by_name(list(outputs), list(inputs))
    _check_names([*pairs], outputs, "output of the first network")
    _check_names([*pairs.values()], inputs, "input of the second network")
    _check_once(pairs)
    _check_types([(outputs[output], inputs[given]) for output, given in pairs.items()])
    result = first.copy()
    graph = result.graph.graph
    own = {str(value.name): value for value in graph.outputs}
    feeds = {given: own[output] for output, given in pairs.items()}
    graph.outputs[:] = [value for name, value in own.items() if name not in pairs]
    graph.outputs.extend(_move_into(result, second, feeds).values())
    return finish(result, 1, "networks joined").model


def graft(
    model: Model, part: Model, inputs: Mapping[str, str], instead_of: Mapping[str, str] | None = None
) -> Model:
    """A copy of `model` with the network `part` inside, which computes on tensors of `model`.

    `inputs` names the tensor that each input of `part` reads; `instead_of` the tensor of `model` that an
    output of `part` replaces for all its readers, the part itself excepted. Other outputs of `part` become
    outputs of the network. What nothing needs any more goes. Raises UnsupportedError as `splice` does, and
    EC4536 when the part would read what is computed from its own result.
    """
    instead_of = instead_of or {}
    own = _values(model)
    ends = {str(value.name): value for value in part.graph.graph.inputs}
    results = {str(value.name): value for value in part.graph.graph.outputs}
    _check_names([*ends], dict.fromkeys(inputs), "tensor given for the input of the part")
    _check_names([*inputs], ends, "input of the part")
    _check_names([*instead_of], results, "output of the part")
    _check_names([*inputs.values(), *instead_of.values()], own, "tensor of the network")
    pairs = [(own[tensor], ends[name]) for name, tensor in inputs.items()]
    _check_once(instead_of)
    _check_types([*pairs, *((results[name], own[tensor]) for name, tensor in instead_of.items())])
    _check_order(own, inputs, instead_of)
    result = model.copy()
    values = _values(result)
    readers = {tensor: tuple(values[tensor].uses()) for tensor in instead_of.values()}
    new = _move_into(result, part, {name: values[tensor] for name, tensor in inputs.items()})
    for name, tensor in instead_of.items():
        _replace(result.graph.graph, values[tensor], new[name], readers[tensor])
    result.graph.graph.outputs.extend(value for name, value in new.items() if name not in instead_of)
    result.graph.graph.sort()
    return finish(result, 1, "network grafted").model


def _values(model: Model) -> dict[str, ir.Value]:
    """All tensors that are computed or given, by name."""
    graph = model.graph.graph
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    return {str(value.name): value for value in values if value.name}


def _by_name(outputs: Sequence[str], inputs: Sequence[str]) -> dict[str, str]:
    """Equal names go together; without any, as many as there are, in order."""
    return {name: name for name in outputs if name in inputs} or dict(zip(outputs, inputs, strict=False))


def _check_names(names: Sequence[str], known: Mapping[str, object], what: str) -> None:
    problems = [
        Problem("EC4533", f"there is no {what} of that name", name, "", did_you_mean(name, list(known)))
        for name in names
        if name not in known
    ]
    if problems:
        raise UnsupportedError(*problems)


def _check_once(pairs: Mapping[str, str]) -> None:
    twice = sorted(name for name, count in Counter(pairs.values()).items() if count > 1)
    if twice:
        sources = ", ".join(f"'{source}'" for source, target in pairs.items() if target == twice[0])
        what, fix = "two tensors would take one place", "give each place one tensor"
        raise UnsupportedError(Problem("EC4537", what, twice[0], sources, fix))


def _check_types(pairs: Sequence[tuple[ir.Value, ir.Value]]) -> None:
    problems = [
        Problem(
            "EC4534",
            "the tensors do not fit",
            str(target.name),
            f"{describe(source)} would be read as {describe(target)}",
            "add a layer that converts, or bind both to one shape",
        )
        for source, target in pairs
        if static_shape(source) != static_shape(target) or source.dtype != target.dtype
    ]
    if problems:
        raise UnsupportedError(*problems)


def _check_order(
    own: Mapping[str, ir.Value], inputs: Mapping[str, str], instead_of: Mapping[str, str]
) -> None:
    """No tensor that is replaced may be needed to compute what the part reads."""
    for replaced in instead_of.values():
        later = _computed_from(own[replaced])
        for tensor in inputs.values():
            if own[tensor] in later:
                what = "the part would read what is computed from its own result"
                fix = "let it read a tensor in front of the one that it replaces"
                raise UnsupportedError(Problem("EC4536", what, tensor, f"it comes after '{replaced}'", fix))


def _computed_from(value: ir.Value) -> set[ir.Value]:
    """All that is computed from `value`."""
    found: set[ir.Value] = set()
    pending = [value]
    while pending:
        new = {out for node in pending.pop().consumers() for out in node.outputs} - found
        found |= new
        pending += new
    return found


def _move_into(model: Model, other: Model, feeds: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """Move the nodes of a copy of `other` behind those of `model`; its outputs by their old names.

    Inputs become what `feeds` says, or inputs of `model`.
    """
    _merge_opsets(model, other)
    graph, source = model.graph.graph, other.copy().graph.graph
    results = {str(value.name): value for value in source.outputs}
    nodes, constants, inputs = list(source), list(source.initializers.values()), list(source.inputs)
    source.outputs.clear()
    source.inputs.clear()
    source.initializers.clear()
    source.remove(nodes)
    for value in inputs:
        if str(value.name) in feeds:
            value.replace_all_uses_with(feeds[str(value.name)])
    results = {
        name: feeds[name] if value in inputs and name in feeds else value for name, value in results.items()
    }
    taken = {*_values(model), *graph.initializers, *(str(node.name) for node in graph)}
    free = [value for value in inputs if str(value.name) not in feeds]
    computed = [value for node in nodes for value in node.outputs if value.name]
    for value in [*free, *constants, *computed]:
        value.name = _free_name(str(value.name), taken)
    for node in nodes:
        node.name = _free_name(str(node.name), taken)
    graph.inputs.extend(free)
    for value in constants:
        graph.register_initializer(value)
    graph.extend(nodes)
    return results


def _free_name(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}/{number}"
    return unique


def _merge_opsets(model: Model, other: Model) -> None:
    own, theirs = model.graph.opset_imports, other.graph.opset_imports
    for domain, version in theirs.items():
        if own.setdefault(domain, version) != version:
            what, why = "the networks use different versions of operators", f"{own[domain]} and {version}"
            fix = "import both with edgecompile, which makes them alike"
            raise UnsupportedError(Problem("EC4535", what, domain or "ai.onnx", why, fix))
    for key, function in other.graph.functions.items():
        model.graph.functions.setdefault(key, function)


def _replace(graph: ir.Graph, old: ir.Value, new: ir.Value, readers: Sequence[tuple[ir.Node, int]]) -> None:
    """Let the former `readers` of `old` read `new`, and the network give it where it gave `old`."""
    for node, index in readers:
        node.replace_input_with(index, new)
    if old.is_graph_output():
        name = old.name
        graph.outputs[list(graph.outputs).index(old)] = new
        old.name, new.name = f"{name}/replaced", name
