"""A lowered network: a straight list of kernel calls over named values.

Values are named as in model.onnx. A value lives in the caller's input or output buffers, in the weights, or
in the arena; an alias is the same bytes as (part of) another value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecompile.core.tensor import TensorInfo


@dataclass(frozen=True)
class Alias:
    """`base` value and the byte `offset` in it where the aliasing value begins."""

    base: str
    offset: int


@dataclass(frozen=True)
class Step:
    """One call of kernel `symbol`, or a plain copy when `symbol` is empty.

    `reads` and `writes` are value names in the order of the kernel's parameters (reads first), followed by a
    range of its `tasks` when that is not 0, and a pointer to `workspace` bytes when that is not 0. At most
    `parts` ranges run at the same time, each with a workspace of its own. `layers` are the network's nodes
    computed here. `in_place` are positions in `reads` whose bytes the first written value may take over.
    """

    symbol: str
    layers: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    workspace: int = 0
    in_place: tuple[int, ...] = ()
    tasks: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Program:
    """`values` describes every value that a step reads or writes, weights included.

    `output_owners[i]` is the value whose bytes are the caller's output buffer i ("" when it has none).
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    output_owners: tuple[str, ...]
    values: Mapping[str, TensorInfo]
    aliases: Mapping[str, Alias]
    weights: Mapping[str, np.ndarray]
    steps: tuple[Step, ...]

    def resolve(self, name: str) -> Alias:
        """Follow aliases to the value that owns the bytes."""
        offset = 0
        while name in self.aliases:
            alias = self.aliases[name]
            name, offset = alias.base, offset + alias.offset
        return Alias(name, offset)
