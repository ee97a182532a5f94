"""Weights in few bits, where that loses nothing.

The recipe palette4 of `edgecompile quantize` leaves each layer at most 16 different weights: they become a
palette and 4 bits each. Which weights are like that is seen, whoever made them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecompile.passes.edit import Array

# Below that a palette is not smaller.
_LEAST = 64
_SIZES = (2, 4, 16)


@dataclass(frozen=True)
class Palette:
    """Weights as `indices` (uint8, of the weights' shape) into `colours` (float16; 2, 4 or 16 of them)."""

    colours: Array
    indices: Array


def palette_of(weights: Array) -> Palette | None:
    """The palette that gives real `weights` exactly, rounded to float16; None when they are too many."""
    if weights.dtype.kind != "f" or weights.size < _LEAST:
        return None
    with np.errstate(over="ignore"):
        colours, indices = np.unique(weights.astype(np.float16), return_inverse=True)
    if len(colours) > _SIZES[-1]:
        return None
    size = next(size for size in _SIZES if size >= len(colours))
    padded = np.concatenate([colours, np.zeros(size - len(colours), np.float16)])
    return Palette(padded, indices.reshape(weights.shape).astype(np.uint8))


def pack_bits(numbers: Array, bits: int) -> Array:
    """Numbers of `bits` bits each in bytes, the first in the lowest bits of the first."""
    columns = (numbers.reshape(-1, 1) >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(columns.ravel(), bitorder="little")
