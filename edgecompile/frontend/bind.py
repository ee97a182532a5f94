"""Give every graph input one static shape: from the file, from `--input`, or 1 for a free batch dimension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.errors import Problem, UnsupportedError, UsageError, did_you_mean
from edgecompile.frontend.options import ImportOptions, Shape, input_line


def bind_inputs(model: ir.Model, options: ImportOptions) -> tuple[str, ...]:
    """Bind all inputs of `model` in place; return notes on every dimension that was chosen.

    Initializers listed among the inputs (IR version 3) stop being inputs, unless `options.input_shapes` names
    them. Errors: UsageError EC2111 (no such input), EC2112 (shape or value contradicts the file);
    UnsupportedError EC4111 (not a tensor of numbers), EC4112 (a dimension must be given).
    """
    _check_names(model, options)
    _drop_weights_from_inputs(model.graph, options)
    _bind_constants(model.graph, options)
    _check_types(model.graph)
    symbols = _bind_given(model.graph, options.input_shapes)
    return _bind_rest(model.graph, symbols)


def _check_names(model: ir.Model, options: ImportOptions) -> None:
    known = [value.name or "" for value in model.graph.inputs]
    problems = [
        Problem("EC2111", f"the network has no input '{name}'", "--input", "", did_you_mean(name, known))
        for name in (*options.input_shapes, *options.constants)
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)


def _drop_weights_from_inputs(graph: ir.Graph, options: ImportOptions) -> None:
    for value in [value for value in graph.inputs if value.is_initializer()]:
        if value.name in options.input_shapes:
            del graph.initializers[value.name or ""]
            value.const_value = None
        else:
            graph.inputs.remove(value)


def _bind_constants(graph: ir.Graph, options: ImportOptions) -> None:
    values = {value.name: value for value in (*graph.inputs, *graph.initializers.values())}
    for name, array in options.constants.items():
        value = values[name]
        fitting = _as_declared(array, value)
        if fitting is None:
            why = f"the file says {value.dtype} {value.shape}, the value is {array.dtype} {array.shape}"
            what, fix = f"the value for input '{name}' does not fit", "give a number for each element"
            raise UsageError(Problem("EC2112", what, "--constant", why, fix))
        value.const_value = ir.tensor(fitting, name=name)
        value.shape, value.dtype = ir.Shape(fitting.shape), value.const_value.dtype
        if value in graph.inputs:
            graph.inputs.remove(value)
        graph.initializers[name] = value


def _as_declared(array: np.ndarray[Any, Any], value: ir.Value) -> np.ndarray[Any, Any] | None:
    """`array` in the type and shape that the file declares, or None when it does not fit.

    The element type may differ when no element changes, and a scalar fits where one element is wanted.
    """
    dims = _dims(value.shape) if value.shape is not None else array.shape
    if array.ndim == 0 and all(dim == 1 or not isinstance(dim, int) for dim in dims):
        array = array.reshape((1,) * len(dims))
    wanted = value.dtype.numpy() if value.dtype is not None else array.dtype
    with np.errstate(invalid="ignore"):
        fitting = np.array(array, dtype=wanted)
    same = array.dtype == wanted or np.array_equal(fitting, array)
    return fitting if same and _fits(dims, array.shape) else None


def _check_types(graph: ir.Graph) -> None:
    problems = []
    for value in graph.inputs:
        plain = isinstance(value.type, ir.TensorType) and value.dtype != ir.DataType.STRING
        if plain and value.dtype != ir.DataType.UNDEFINED:
            continue
        kind = f"it is a {value.type}" if value.type else "the file gives it no type"
        fix = "export the network with tensors of numbers as inputs"
        problems.append(Problem("EC4111", f"input '{value.name}' is not a tensor of numbers", "", kind, fix))
    if problems:
        raise UnsupportedError(*problems)


def _bind_given(graph: ir.Graph, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Apply `--input`; returns what the file's symbolic dimensions are thereby."""
    symbols: dict[str, int] = {}
    for value in graph.inputs:
        given = shapes.get(value.name or "")
        if given is None:
            continue
        dims = _dims(value.shape) if value.shape is not None else (None,) * len(given)
        if not _fits(dims, given):
            why = f"the file says {_text(dims)}"
            what = f"shape {_text(given)} does not fit input '{value.name}'"
            raise UsageError(Problem("EC2112", what, "--input", why, input_line(value.name or "", dims)))
        for dim, size in zip(dims, given, strict=True):
            if isinstance(dim, str) and symbols.setdefault(dim, size) != size:
                why = f"it is {symbols[dim]} in one place and {size} in input '{value.name}'"
                raise UsageError(Problem("EC2112", f"dimension '{dim}' has two sizes", "--input", why))
        value.shape = ir.Shape(given)
    return symbols


def _bind_rest(graph: ir.Graph, symbols: dict[str, int]) -> tuple[str, ...]:
    notes: list[str] = []
    problems: list[Problem] = []
    for value in graph.inputs:
        dims = _dims(value.shape) if value.shape is not None else ()
        if dims and not isinstance(dims[0], int) and dims[0] not in symbols:
            batch = repr(dims[0]) if dims[0] else "0"
            notes.append(f"dimension {batch} of input '{value.name}' bound to 1")
            if dims[0] is not None:
                symbols[dims[0]] = 1
            value.shape = ir.Shape([1, *dims[1:]])
    for value in graph.inputs:
        problem = _resolve(value, symbols)
        if problem:
            problems.append(problem)
    if problems:
        raise UnsupportedError(*problems)
    return tuple(notes)


def _resolve(value: ir.Value, symbols: Mapping[str, int]) -> Problem | None:
    """Replace the bound symbols of `value`; a Problem when some dimension stays unknown."""
    name = value.name or ""
    if value.shape is None:
        why, fix = "the file does not even say its rank", input_line(name, (1, 3, 224, 224))
    else:
        dims = tuple(symbols.get(d, d) if isinstance(d, str) else d for d in _dims(value.shape))
        value.shape = ir.Shape(dims)
        if value.shape.is_static():
            return None
        why, fix = f"it is {_text(dims)}; sizes must be fixed at compile time", input_line(name, dims)
    fix = f"{fix} (with your sizes)"
    return Problem("EC4112", f"the shape of input '{name}' is not known", name, why, fix)


def _dims(shape: ir.Shape) -> tuple[int | str | None, ...]:
    """Sizes, symbols, or None for an unknown dimension, which some exporters write as -1 or "?"."""
    return tuple(_dim(dim if isinstance(dim, int) else dim.value) for dim in shape)


def _dim(dim: int | str | None) -> int | str | None:
    if isinstance(dim, int):
        return dim if dim >= 0 else None
    return dim if dim and any(letter.isalpha() for letter in dim) else None


def _fits(dims: tuple[int | str | None, ...], given: Shape) -> bool:
    if len(dims) != len(given):
        return False
    return all(not isinstance(dim, int) or dim == size for dim, size in zip(dims, given, strict=True))


def _text(dims: tuple[object, ...]) -> str:
    return "(" + ", ".join("?" if dim is None else str(dim) for dim in dims) + ")"
