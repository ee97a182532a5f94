"""Winograd's minimal filtering F(m x m, 3 x 3): convolution by products of transformed tiles.

An output tile of m x m is computed from an input tile of (m+2) x (m+2):

    Y = A^T [(G g G^T) * (B^T d B)] A

(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016), where * multiplies element
by element; summed over channels, each of the (m+2)^2 elements is a matrix product. The matrices are those of
Toom and Cook's algorithm for the points 0, p, -p, ..., and infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from edgecompile.kernels.math import Expr

TAPS = 3
# The positive points for each m; with 0, their negatives and infinity there are m + 2 of them. The transforms
# are exact in float32. For m = 4 the error is about that of a direct sum; with the usual points 1 and 2 it is
# four times as large. See Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution
# for Deep Neural Networks", ACM Transactions on Mathematical Software 46, 2020.
_POINTS = {2: (1.0,), 4: (0.625, 1.5)}
TILES = tuple(_POINTS)


@dataclass(frozen=True)
class Transform:
    """The matrices of F(m, 3): `inputs` is B^T [m+2, m+2], `weights` G [m+2, 3], `outputs` A^T [m, m+2].

    Rows of B^T and columns of A^T at 1 and 2 (at 3 and 4, ...) belong to a point and its negative: they are
    the same at even places and each other's negatives at odd ones.
    """

    inputs: np.ndarray
    weights: np.ndarray
    outputs: np.ndarray

    @property
    def tile(self) -> int:
        """m: outputs along one axis."""
        return len(self.outputs)

    @property
    def size(self) -> int:
        """m + 2: inputs, and products, along one axis."""
        return len(self.inputs)

    def transform_input(self, values: Sequence[Expr]) -> list[Expr]:
        """B^T times a column of expressions."""
        matrix, result = self.inputs, [_dot(self.inputs[0], values)]
        for row in range(1, self.size - 1, 2):
            even = _dot(matrix[row, ::2], values[::2])
            odd = _dot(matrix[row, 1::2], values[1::2])
            result += [even + odd, even - odd]
        return [*result, _dot(matrix[-1], values)]

    def transform_output(self, values: Sequence[Expr]) -> list[Expr]:
        """A^T times a column of expressions."""
        first, *paired, last = values
        sums = [a + b for a, b in zip(paired[::2], paired[1::2], strict=True)]
        differences = [a - b for a, b in zip(paired[::2], paired[1::2], strict=True)]
        factors = np.delete(self.outputs, range(2, self.size - 1, 2), axis=1)
        rows = [(first, *(differences if row % 2 else sums), last) for row in range(self.tile)]
        return [_dot(line, terms) for line, terms in zip(factors, rows, strict=True)]

    @property
    def input_operations(self) -> int:
        """Multiply-adds of `transform_input`: one for each term but the first, and two to join a pair."""
        terms = np.count_nonzero(self.inputs, axis=1)
        return int(terms[0] - 1 + terms[-1] - 1 + sum(terms[1:-1:2]))

    @property
    def output_operations(self) -> int:
        """Additions and multiply-adds of `transform_output`."""
        pairs = self.size // 2 - 1
        return int(2 * pairs + np.count_nonzero(self.outputs) - self.tile * (pairs + 1))


@cache
def transform_of(tile: int) -> Transform:
    """The matrices of F(tile, 3), for one of `TILES`."""
    points = [0.0, *(sign * point for point in _POINTS[tile] for sign in (1, -1))]
    others = [[q for q in points if q != p] for p in points]
    size = len(points) + 1
    inputs, weights, outputs = np.zeros((size, size)), np.zeros((size, TAPS)), np.zeros((tile, size))
    for i, p in enumerate(points):
        inputs[i, :-1] = np.poly(others[i])[::-1]
        weights[i] = p ** np.arange(TAPS) / np.prod([p - q for q in others[i]])
        outputs[:, i] = p ** np.arange(tile)
    inputs[-1] = np.poly(points)[::-1]
    weights[-1, -1] = outputs[-1, -1] = 1
    return Transform(inputs, weights, outputs)


def transform_weights(weights: np.ndarray, transform: Transform) -> np.ndarray:
    """Weights [O, C, 3, 3] as the matrices [(m+2)^2, O, C], computed in float64 and rounded once."""
    g = transform.weights
    turned = np.einsum("ia,ocab,jb->ijoc", g, weights.astype(np.float64), g, optimize=True)
    matrices: np.ndarray = turned.reshape(-1, *weights.shape[:2]).astype(weights.dtype)
    return matrices


def _dot(factors: Sequence[float] | np.ndarray, values: Sequence[Expr]) -> Expr:
    """The sum of factors * values, as multiply-adds onto the last term, whose factor comes last of all."""
    terms = [(float(f), value) for f, value in zip(factors, values, strict=True) if f != 0]
    lead, total = terms[-1]
    for factor, value in reversed(terms[:-1]):
        ratio = factor / lead
        total = total + value if ratio == 1 else total + value * ratio
    return total if lead == 1 else total * lead
