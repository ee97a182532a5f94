"""The node tests of the onnx package, as inputs for the whole compiler."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
from onnx.backend.test.case.node import collect_testcases

from edgecompile.lower.registry import static_inputs
from edgecompile.lower.table import lowered_operators

# Element types that this product does not promise.
_OTHER_TYPES = ("BFLOAT16", "FLOAT8", "STRING")

# Inputs that decide shapes in operators that are expanded before lowering: (domain, operator) -> indices.
_SHAPE_INPUTS: dict[tuple[str, str], tuple[int, ...]] = {
    ("", "AffineGrid"): (1,),
    ("", "CenterCropPad"): (1,),
    ("", "ConstantOfShape"): (0,),
    ("", "Loop"): (0, 1),
    ("", "NonZero"): (0,),
    ("", "Range"): (0, 1, 2),
    ("", "Unique"): (0,),
}


@dataclass(frozen=True)
class Case:
    """One test: `model`, its data sets (inputs, outputs), and how close the outputs must be."""

    name: str
    model: onnx.ModelProto
    data_sets: tuple[tuple[tuple[Any, ...], tuple[Any, ...]], ...]
    rtol: float
    atol: float

    def constants(self) -> dict[str, np.ndarray[Any, Any]]:
        """Values of the graph inputs that must be known at compile time, from the first data set."""
        values = dict(zip((i.name for i in self.model.graph.input), self.data_sets[0][0], strict=False))
        names = {
            node.input[index]
            for node in self.model.graph.node
            for index in shape_inputs(node)
            if index < len(node.input)
        }
        return {name: np.asarray(values[name]) for name in sorted(names) if name in values}


def shape_inputs(node: onnx.NodeProto) -> tuple[int, ...]:
    """Inputs of `node` whose values decide shapes or code."""
    key = ("" if node.domain == "ai.onnx" else node.domain, node.op_type)
    lowered_operators()
    return _SHAPE_INPUTS.get(key) or static_inputs(*key)


@cache
def all_cases() -> dict[str, Case]:
    """By name, without the expanded twins and the element types left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collected = collect_testcases(None)
    return {
        c.name: Case(c.name, c.model, tuple(_arrays(c.data_sets)), c.rtol, c.atol)
        for c in sorted(collected, key=lambda case: str(case.name))
        if c.model is not None and "_expanded" not in c.name and not _uses_other_types(c.model)
    }


def _arrays(data_sets: Any) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Data sets with every tensor message (some cases hold those) as an array."""

    def convert(value: Any) -> Any:
        return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value

    for inputs, outputs in data_sets:
        yield tuple(map(convert, inputs)), tuple(map(convert, outputs))


def _uses_other_types(model: onnx.ModelProto) -> bool:
    values = [*model.graph.input, *model.graph.output]
    names = (onnx.TensorProto.DataType.Name(v.type.tensor_type.elem_type) for v in values)
    return any(name.startswith(_OTHER_TYPES) for name in names)
