"""Patterns of zeros in weights: at most N of M neighbouring inputs of an output count, as in 2:4.

Hardware with instructions for such weights needs the pattern to survive quantization. It does where weights
are symmetric and rounded to the nearest integer: 0 stays 0, and scaling of channels multiplies it. Rounding
makes further zeros; a pattern that only the integers have is none of the network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.quantize.insert_quantization import Contraction

_LENGTHS = (4, 8, 16)


@dataclass(frozen=True)
class Pattern:
    """At most `kept` of `length` neighbours are not 0."""

    kept: int
    length: int

    def __str__(self) -> str:
        return f"{self.kept}:{self.length}"


def sparsity_pattern(weights: Array, axis: int) -> Pattern | None:
    """The pattern along `axis`, that of input channels; None where more than half of some block is not 0.

    Blocks begin at multiples of their length, and the last one may be shorter. Of several patterns the one
    with the shortest blocks is given, which are of 4, 8 or 16.
    """
    rows = np.moveaxis(weights, axis, -1).reshape(-1, weights.shape[axis]) != 0
    for length in _LENGTHS:
        if rows.shape[1] < length or not rows.any():
            return None
        padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % length)))
        most = int(padded.reshape(-1, length).sum(axis=1).max())
        if 2 * most <= length:
            return Pattern(most, length)
    return None


def sparsity_patterns(graph: ir.Graph, contractions: Mapping[str, Contraction]) -> dict[str, dict[str, Any]]:
    """For each layer whose float weights have a pattern: the pattern, and whether its zeros are `kept`."""
    found = {}
    for node in graph:
        weights = constant_of(node.inputs[1]) if str(node.name) in contractions else None
        pattern = sparsity_pattern(weights, input_axis(node)) if weights is not None else None
        if weights is not None and pattern is not None:
            integers = contractions[str(node.name)].weights.integers
            kept = not bool(integers[weights == 0].any())
            found[str(node.name)] = {"pattern": str(pattern), "kept": kept}
    return found


def input_axis(node: ir.Node) -> int:
    """The axis of input channels in the weights of a contraction."""
    rows_first = node.op_type == "Conv" or node.attributes.get_int("transB", 0) == 1
    return 1 if rows_first else 0
