"""Constants that stay in fewer bits than they are computed in.

before: Cast(constant of float16) -> Conv                     after: Conv reads a constant in float16
before: DequantizeLinear(constant of 4 bits, scales) -> MatMul        MatMul reads a constant of 4 bits

To the graph the constant is float32. The kernel that reads it gets it as it is stored, and widens it. Kernels
of their own for the nodes would write float32 into the arena, for every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import te, tirx

from edgecompile.core.model import Model
from edgecompile.core.target import Isa
from edgecompile.kernels.compact import nibble, pack_nibbles, store_halves, widened
from edgecompile.kernels.compute import Tensor, flatten
from edgecompile.kernels.math import Expr, cast

Array = np.ndarray[Any, Any]

_NIBBLES = (ir.DataType.INT4, ir.DataType.UINT4)


@dataclass(frozen=True)
class Compact:
    """A constant `array` of float16, or of int8 in [-8, 7] with scales: (array - zeros) * scales.

    Scales and zero points have the rank of the array; their extent along an axis is 1, that of the array, or,
    along `axis`, one for each `block` elements. `zeros` is None where all are 0.
    """

    array: Array
    scales: Array | None = None
    zeros: Array | None = None
    axis: int = 0
    block: int = 1

    @property
    def is_half(self) -> bool:
        return self.scales is None

    def place(self, index: Sequence[Expr]) -> list[Expr]:
        """Where the scale of the element at `index` is."""
        assert self.scales is not None
        place = [0 if extent == 1 else i for i, extent in zip(index, self.scales.shape, strict=True)]
        if self.scales.shape[self.axis] > 1:
            place[self.axis] = index[self.axis] // self.block
        return place

    def widen(self) -> Array:
        """The values in float32."""
        if self.scales is None:
            return self.array.astype(np.float32)
        index = self.place(np.indices(self.array.shape, sparse=True))
        zeros = 0 if self.zeros is None else self.zeros[tuple(index)]
        return np.asarray((self.array - zeros) * self.scales[tuple(index)], np.float32)

    def in_blocks_of_rows(self) -> Compact | None:
        """A matrix whose columns have a scale for each `block` rows, which may be all of them; or None."""
        if self.scales is None or self.zeros is not None or self.array.ndim != 2:
            return None
        rows, columns = self.array.shape
        block = self.block if self.axis == 0 and self.scales.shape[0] > 1 else rows
        if self.scales.shape[0] != -(-rows // block):
            return None
        scales = np.broadcast_to(self.scales, (len(self.scales), columns))
        return Compact(self.array, scales, None, 0, block)


class CompactTensor(ir.LazyTensor):
    """A constant of float32 whose values are computed when somebody asks for them."""

    def __init__(self, compact: Compact, name: str | None) -> None:
        shape = ir.Shape(compact.array.shape)
        super().__init__(lambda: ir.Tensor(compact.widen(), name=name), ir.DataType.FLOAT, shape, name=name)
        self.compact = compact


def compact_value(value: ir.Value | None) -> Compact | None:
    """How a constant is stored, when that is in fewer bits than it is computed in."""
    tensor = value.const_value if value is not None else None
    return tensor.compact if isinstance(tensor, CompactTensor) else None


def read_compact(compact: Compact, isa: Isa) -> tuple[Tensor, dict[str, tuple[Tensor, Array]]]:
    """The values of a constant in float32, computed from constants by label as they are stored."""
    if compact.scales is None:
        stored = _stored("halves", store_halves(compact.array, isa.widens_halves))
        (halves, _) = stored["halves"]
        return te.compute(halves.shape, lambda *i: widened(halves(*i)), name="widened"), stored
    stored = _stored("nibbles", pack_nibbles(compact.array)) | _stored("scales", compact.scales)
    if compact.zeros is not None:
        stored |= _stored("zeros", compact.zeros)

    def value(*index: Expr) -> Expr:
        number, place = flatten(index, compact.array.shape), compact.place(index)
        integer = nibble(stored["nibbles"][0](tirx.indexdiv(number, 2)), number)
        if "zeros" in stored:
            integer = integer - cast(stored["zeros"][0](*place), "int32")
        return cast(integer, "float32") * stored["scales"][0](*place)

    return te.compute(compact.array.shape, value, name="widened"), stored


def _stored(label: str, array: Array) -> dict[str, tuple[Tensor, Array]]:
    return {label: (te.placeholder(array.shape, array.dtype.name, name=label), np.ascontiguousarray(array))}


def keep_compact(model: Model) -> None:
    """Replace the nodes of `model` that only widen constants by `CompactTensor` constants."""
    graph = model.graph.graph
    for node in list(graph):
        compact = None if node.outputs[0].is_graph_output() else _constant_of(node)
        if compact is None:
            continue
        old = node.outputs[0]
        name, old.name = old.name, f"{old.name}/node"
        tensor = CompactTensor(compact, name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(value)
        old.replace_all_uses_with(value)
        graph.remove(node, safe=True)


def _constant_of(node: ir.Node) -> Compact | None:
    """What a node computes from constants alone, as it is stored; None for any other node."""
    source = node.inputs[0] if node.inputs else None
    if node.domain or node.outputs[0].dtype != ir.DataType.FLOAT or source is None:
        return None
    arrays = [None if v is None or v.const_value is None else v.const_value.numpy() for v in node.inputs]
    if arrays[0] is None:
        return None
    if node.op_type == "Cast" and source.dtype == ir.DataType.FLOAT16:
        return Compact(arrays[0]) if np.isfinite(arrays[0]).all() else None
    if node.op_type == "DequantizeLinear" and source.dtype in _NIBBLES:
        return _dequantized(node, arrays[0], arrays[1:])
    return None


def _dequantized(node: ir.Node, integers: Array, parameters: Sequence[Array | None]) -> Compact | None:
    """Unsigned integers and their zero points move by 8, and then are signed."""
    scales, zeros = parameters[0], parameters[1] if len(parameters) > 1 else None
    if scales is None or (zeros is None and len(node.inputs) > 2 and node.inputs[2] is not None):
        return None
    axis = node.attributes.get_int("axis", 1) % max(integers.ndim, 1)
    block = node.attributes.get_int("block_size", 0)
    shape = scales.shape if block else _along(scales, integers.ndim, axis)
    moved = 8 if integers.dtype.name == "uint4" else 0
    offsets = (np.zeros(scales.shape, np.int8) if zeros is None else zeros.astype(np.int8)) - np.int8(moved)
    return Compact(
        integers.astype(np.int8) - np.int8(moved),
        scales.astype(np.float32).reshape(shape),
        offsets.reshape(shape) if offsets.any() else None,
        axis,
        block or 1,
    )


def _along(scales: Array, rank: int, axis: int) -> tuple[int, ...]:
    """The shape of one scale for all, or one for each slice of `axis`."""
    return tuple(scales.size if i == axis else 1 for i in range(rank))
