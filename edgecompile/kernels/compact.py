"""Numbers in fewer bits than they are computed in: halves, and two integers of 4 bits to a byte.

They are widened where they are read, in the loop that uses them.
"""

from __future__ import annotations

import numpy as np
from tvm import tirx

from edgecompile.kernels.math import Expr, cast, const, dtype_of

# The bits of a half that, shifted up by 13, are those of a float: the sign, exponent and fraction.
_HALF_BITS = -0x70002000
# What a float's exponent is off by then: a half's bias is 15, a float's 127.
_HALF_UNIT = 2.0**112


def store_halves(values: np.ndarray, instructions: bool) -> np.ndarray:
    """`values` as float16; as their bits in int16 where no instructions widen halves.

    Values must be finite.
    """
    halves = values.astype(np.float16)
    return halves if instructions else halves.view(np.int16)


def widened(value: Expr) -> Expr:
    """A weight, or a vector of weights, as float32: halves or their bits (see `store_halves`), or as it is.

    Bits are moved into the place that they have in a float, subnormal ones included, and the exponent is
    corrected by a product, which is exact.
    """
    element, x, lanes = dtype_of(value).partition("x")
    if element != "int16":
        return cast(value, f"float32{x}{lanes}")
    word = f"int32{x}{lanes}"
    moved = tirx.bitwise_and(cast(value, word) * const(1 << 13, word), const(_HALF_BITS, word))
    real = f"float32{x}{lanes}"
    return tirx.reinterpret(real, moved) * const(_HALF_UNIT, real)


def pack_nibbles(integers: np.ndarray) -> np.ndarray:
    """Integers in [-8, 7] as one dimension of int8, two to a byte, the first of each in the low half."""
    flat = integers.reshape(-1).astype(np.int8)
    low, high = np.pad(flat, (0, flat.size % 2)).reshape(-1, 2).T
    return np.asarray((low & 15) | (high << 4), np.int8)


def nibble(byte: Expr, index: Expr) -> Expr:
    """The integer with number `index` of all, as int32, out of the byte that it is in."""
    return tirx.Select(tirx.indexmod(index, 2) == 0, low_nibble(byte), high_nibble(byte))


def low_nibble(byte: Expr, dtype: str = "int32") -> Expr:
    """The first integer of a byte, sign-extended in arithmetic of type `dtype`."""
    sign = const(8, dtype)
    return tirx.bitwise_xor(tirx.bitwise_and(cast(byte, dtype), const(15, dtype)), sign) - sign


def high_nibble(byte: Expr, dtype: str = "int32") -> Expr:
    """The second integer of a byte."""
    return tirx.shift_right(cast(byte, dtype), const(4, dtype))
