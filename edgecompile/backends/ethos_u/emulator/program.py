"""What Vela makes of a network, as the emulator takes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Placement:
    """Where an input or output is: a region, a byte address in it, its shape and type; NHWC, no gaps."""

    region: int
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def end(self) -> int:
        """The address after its last byte."""
        return self.address + math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Program:
    """A command stream with its driver header, and memory: for each region its constants or its size.

    Variables are tensors that a program expects to have a value at its start, each with that value. Inputs in
    regions that are `read_only` belong to the caller.
    """

    command_stream: bytes
    regions: Mapping[int, bytes | int]
    inputs: tuple[Placement, ...]
    outputs: tuple[Placement, ...]
    variables: tuple[tuple[Placement, int], ...] = ()
    read_only: frozenset[int] = frozenset()

    @classmethod
    def from_vela(cls, result: Any) -> Program:
        """From what `ethosu.regor.compile` returns with output_format=Raw. Integers are taken as signed.

        With separate_io_regions the inputs share a region that ends with the last of them, and so do the
        outputs.
        """
        inputs, outputs = (tuple(map(_placement, t)) for t in (result.inputs, result.outputs))
        variables = tuple((_placement(tensor), int(tensor.zero_point[0])) for tensor in result.variables)
        ends = sorted((place.region, place.end) for place in (*inputs, *outputs))
        regions: dict[int, bytes | int] = dict(ends)
        for scratch in (result.scratch_fast, result.scratch):
            regions[scratch.region] = scratch.size
        regions[result.read_only.region] = bytes(result.read_only.data)
        return cls(bytes(result.command_stream), regions, inputs, outputs, variables)


def _placement(tensor: Any) -> Placement:
    dtype = np.dtype(f"<i{tensor.element_size}")
    return Placement(tensor.region, tensor.address, tuple(tensor.shape), dtype)
