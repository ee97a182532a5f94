"""Sums of products with constant weights, as matrices: results [P, N] = rows [P, K] times weights [K, N].

A convolution is one such product over its windows (im2col), a grouped or depthwise one is a product for each
group. All statistics of pruning are of these matrices, whatever the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.quantize.windows import windows_of

# Sums of x^T x over rows with more elements than this take gigabytes.
WIDEST = 6000
_OPERATORS = ("Conv", "Gemm", "MatMul")
# Of each sample about so many rows (windows, tokens) are looked at, others in the next sample; fewer where
# rows are so long that they have more elements together.
_ROWS, _ELEMENTS = 256, 1 << 19


@dataclass(frozen=True)
class Contraction:
    """`node` with constant weights; `groups` products of K = `inputs` x `taps` rows each.

    An input channel has `taps` consecutive rows of the matrix: the elements of the kernel.
    """

    node: ir.Node
    groups: int
    inputs: int
    taps: int

    @property
    def name(self) -> str:
        return str(self.node.name)

    @property
    def width(self) -> int:
        """Elements of a row, K."""
        return self.inputs * self.taps

    @property
    def source(self) -> str:
        """The name of the tensor that is multiplied."""
        return _name(self.node, 0)

    @property
    def weights(self) -> str:
        """The name of the constant."""
        return _name(self.node, 1)

    @property
    def result(self) -> str:
        """The name of what is computed."""
        return str(self.node.outputs[0].name)

    @property
    def channel_axis(self) -> int:
        """The axis of channels of what is multiplied and of the result; negative: counted from the end."""
        return 1 if self.node.op_type == "Conv" else -1

    @property
    def output_axis(self) -> int:
        """The axis of the weights that has one index for each channel of the result."""
        return 0 if self.node.op_type == "Conv" or self._transposed else 1

    def matrix(self) -> Array:
        """The weights as float64 [groups, K, N]."""
        weights = constant_of(self.node.inputs[1])
        assert weights is not None
        if self.node.op_type == "Conv":
            return weights.reshape(self.groups, -1, self.inputs * self.taps).transpose(0, 2, 1).astype(float)
        return (weights.T if self._transposed else weights)[None].astype(float)

    def constant(self, matrix: Array) -> Array:
        """The weights [groups, K, N] as the operator stores them, float32; the inverse of `matrix`."""
        weights = constant_of(self.node.inputs[1])
        assert weights is not None
        if self.node.op_type == "Conv":
            return np.ascontiguousarray(matrix.transpose(0, 2, 1)).reshape(weights.shape).astype(np.float32)
        return np.ascontiguousarray(matrix[0].T if self._transposed else matrix[0]).astype(np.float32)

    def rows(self, tensor: Array, sample: int) -> Array:
        """Some rows of what is multiplied, [groups, P, K]; others in the next `sample`."""
        if self.node.op_type != "Conv":
            chosen = self._some(tensor.reshape(-1, tensor.shape[-1]), sample)
            return chosen[None]
        kernel = (static_shape(self.node.inputs[1]) or ())[2:]
        given = {name: value.value for name, value in self.node.attributes.items()}
        windows = windows_of(tensor, {**given, "kernel_shape": kernel}, 0)
        spatial = windows.shape[2 : 2 + (windows.ndim - 2) // 2]
        places = np.unravel_index(self._places(prod(spatial), sample), spatial)
        chosen = np.concatenate([one[(slice(None), *places)] for one in windows], axis=1)
        split = chosen.reshape(self.groups, self.inputs, chosen.shape[1], self.taps)
        return split.transpose(0, 2, 1, 3).reshape(self.groups, chosen.shape[1], -1)

    def results(self, tensor: Array, sample: int) -> Array:
        """The results that belong to `rows`, [groups, P, N]."""
        if self.node.op_type != "Conv":
            return self._some(tensor.reshape(-1, tensor.shape[-1]), sample)[None]
        flat = tensor.reshape(*tensor.shape[:2], -1)
        places = self._places(flat.shape[2], sample)
        chosen = np.concatenate([one[:, places] for one in flat], axis=1)
        return chosen.reshape(self.groups, -1, chosen.shape[1]).transpose(0, 2, 1)

    def _some(self, rows: Array, sample: int) -> Array:
        return rows[self._places(len(rows), sample)]

    def _places(self, count: int, sample: int) -> Array:
        most = min(_ROWS, max(_ELEMENTS // (self.inputs * self.taps), 1))
        step = max(count // most, 1)
        return np.arange(sample % step, count, step)

    @property
    def _transposed(self) -> bool:
        return self.node.op_type == "Gemm" and bool(self.node.attributes.get_int("transB", 0))


def find_contractions(model: Model) -> list[Contraction]:
    """The contractions of `model` in the graph's order; others (transposed operands, LSTM) are left out."""
    found = (_contraction(node) for node in model.graph.graph)
    return [contraction for contraction in found if contraction is not None]


def _contraction(node: ir.Node) -> Contraction | None:
    if node.domain or node.op_type not in _OPERATORS or node.inputs[0] is None:
        return None
    weights, source = constant_of(node.inputs[1]), static_shape(node.inputs[0])
    if weights is None or source is None or weights.dtype != np.float32:
        return None
    if node.op_type == "Conv":
        groups = node.attributes.get_int("group", 1)
        plain = node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        return Contraction(node, groups, weights.shape[1], prod(weights.shape[2:])) if plain else None
    scaled = any(node.attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    turned = node.attributes.get_int("transA", 0)
    if weights.ndim != 2 or turned or scaled:
        return None
    return Contraction(node, 1, source[-1], 1)


def _name(node: ir.Node, index: int) -> str:
    value = node.inputs[index]
    assert value is not None
    return str(value.name)
