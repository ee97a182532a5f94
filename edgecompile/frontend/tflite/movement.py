"""Operators that move elements without computing: on the stored integers, whatever they stand for."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgecompile.frontend.tflite.registry import translates
from edgecompile.frontend.tflite.view import OperatorView


@translates("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(n: OperatorView) -> None:
    """To the shape that the file gives the result."""
    shape = n.static(n.output())
    if math.prod(shape) != math.prod(n.shape(0)):
        raise n.malformed(f"{list(n.shape(0))} becomes {list(shape)}")
    n.keep(n.emit("Reshape", n.stored(0), n.number(shape, "int64", "shape"), allowzero=1))


@translates("TRANSPOSE")
def transpose(n: OperatorView) -> None:
    """Axes in the order of the second input."""
    perm = n.integers(1)
    if sorted(perm) != list(range(len(n.shape(0)))):
        raise n.malformed(f"order of axes {list(perm)}")
    n.keep(n.emit("Transpose", n.stored(0), perm=perm))


@translates("CONCATENATION")
def concatenation(n: OperatorView) -> None:
    """Of integers where all have one quantization, of real numbers otherwise."""
    axis = n.axis(n.option("Axis"), len(n.static(n.output())))
    count = len(n.inputs)
    same = all(n.input(i).quantization == n.output().quantization for i in range(count))
    if same and not n.option("FusedActivationFunction"):
        n.keep(n.emit("Concat", *(n.stored(i) for i in range(count)), axis=axis))
    else:
        n.store(n.activate(n.emit("Concat", *(n.real(i) for i in range(count)), axis=axis)))


@translates("PACK")
def pack(n: OperatorView) -> None:
    """Stacks tensors along a new axis."""
    axis = n.axis(n.option("Axis"), len(n.shape(0)) + 1)
    where = n.number([axis], "int64", "axis")
    parts = [n.emit("Unsqueeze", n.stored(i), where, step=f"Unsqueeze_{i}") for i in range(len(n.inputs))]
    n.keep(n.emit("Concat", *parts, axis=axis))


@translates("UNPACK")
def unpack(n: OperatorView) -> None:
    """One output for each index along an axis, which disappears."""
    axis = n.axis(n.option("Axis"), len(n.shape(0)))
    for index in range(len(n.outputs)):
        position = n.number(index, "int64", f"index_{index}")
        n.keep(
            n.emit("Gather", n.stored(0), position, step="" if not index else f"{index}", axis=axis), index
        )


@translates("SPLIT", "SPLIT_V")
def split(n: OperatorView) -> None:
    """SPLIT has the axis first; SPLIT_V the sizes second and the axis third."""
    data, where = (1, 0) if n.kind == "SPLIT" else (0, 2)
    axis = n.axis(n.integers(where)[0], len(n.shape(data)))
    sizes = [n.static(tensor)[axis] for tensor in n.outputs]
    lengths = n.number(sizes, "int64", "split")
    for index, value in enumerate(n.emit_many("Split", len(sizes), n.stored(data), lengths, axis=axis)):
        n.keep(value, index)


@translates("GATHER")
def gather(n: OperatorView) -> None:
    """Rows along one axis."""
    if n.option("BatchDims"):
        raise n.unsupported(f"batch_dims is {n.option('BatchDims')}", "use batch_dims=0")
    n.keep(n.emit("Gather", n.stored(0), n.stored(1), axis=n.axis(n.option("Axis"), len(n.shape(0)))))


@translates("GATHER_ND")
def gather_nd(n: OperatorView) -> None:
    """Indices along the leading axes."""
    indices = n.stored(1)
    if n.input(1).dtype != "int64":
        indices = n.emit("Cast", indices, step="Cast", to=7)
    n.keep(n.emit("GatherND", n.stored(0), indices))


@translates("TILE", "BROADCAST_TO")
def repeat(n: OperatorView) -> None:
    """Whole copies along axes, or one element along an axis."""
    op_type = "Tile" if n.kind == "TILE" else "Expand"
    n.keep(n.emit(op_type, n.stored(0), n.number(n.integers(1), "int64", "shape")))


@translates("FILL")
def fill(n: OperatorView) -> None:
    """One value in a tensor of constant shape."""
    n.keep(n.emit("Expand", n.stored(1), n.number(n.static(n.output()), "int64", "shape")))


@translates("SHAPE", "RANK", "ZEROS_LIKE")
def constant(n: OperatorView) -> None:
    """Known at compile time, because shapes are."""
    shape, dtype = n.shape(0), n.output().dtype
    values = {"SHAPE": np.array(shape), "RANK": np.array(len(shape)), "ZEROS_LIKE": np.zeros(shape)}
    n.keep(n.emit("Identity", n.number(values[n.kind], dtype, "value")))


@translates("TOPK_V2")
def top_k(n: OperatorView) -> None:
    """The largest along the last axis, in order, and where they are."""
    count = n.number([n.integers(1)[0]], "int64", "k")
    values, positions = n.emit_many("TopK", 2, n.stored(0), count, axis=-1)
    n.keep(values)
    n.keep(n.emit("Cast", positions, step="Cast", to=6), 1)


@translates("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def blocks(n: OperatorView) -> None:
    """Blocks of pixels become channels, in the order row, column, channel; or the other way round."""
    size, shape = int(n.option("BlockSize")), n.shape(0)
    if len(shape) != 4 or size < 1 or 0 in shape:
        raise n.malformed(f"block size {size} for {list(shape)}")
    batch, height, width, channels = shape
    if n.kind == "SPACE_TO_DEPTH":
        parts, perm = (batch, height // size, size, width // size, size, channels), (0, 1, 3, 2, 4, 5)
        exact = height % size == width % size == 0
    else:
        parts, perm = (batch, height, width, size, size, channels // size**2), (0, 1, 3, 2, 4, 5)
        exact = channels % size**2 == 0
    if not exact:
        raise n.malformed(f"block size {size} does not divide {list(shape)}")
    _rearrange(n, parts, perm)


@translates("SPACE_TO_BATCH_ND")
def space_to_batch(n: OperatorView) -> None:
    """Padding, then blocks of pixels become batches (TensorFlow's way of dilation)."""
    shape, block = n.shape(0), n.integers(1)
    before, after = n.constant(2).reshape(-1, 2).T.tolist()
    spatial = [size + b + a for size, b, a in zip(shape[1:], before, after, strict=False)]
    if len(shape) != len(block) + 2 or any(size % b for size, b in zip(spatial, block, strict=True)):
        raise n.malformed(f"blocks {list(block)} for {list(shape)}")
    value = n.stored(0)
    if any(before + after):
        pads = n.number([0, *before, 0, 0, *after, 0], "int64", "pads")
        value = n.emit("Pad", value, pads, padding_value(n), step="Pad")
    parts = [
        shape[0],
        *(p for size, b in zip(spatial, block, strict=True) for p in (size // b, b)),
        shape[-1],
    ]
    axes = range(len(block))
    perm = [*(2 * i + 2 for i in axes), 0, *(2 * i + 1 for i in axes), len(parts) - 1]
    value = n.emit("Reshape", value, n.number(parts, "int64", "parts"), step="Reshape")
    value = n.emit("Transpose", value, step="Transpose", perm=perm)
    n.keep(n.emit("Reshape", value, n.number(n.static(n.output()), "int64", "shape")))


@translates("BATCH_TO_SPACE_ND")
def batch_to_space(n: OperatorView) -> None:
    """The inverse of SPACE_TO_BATCH_ND; what was padded is cropped."""
    shape, block = n.shape(0), n.integers(1)
    count = len(block)
    if len(shape) != count + 2 or not math.prod(block) or shape[0] % math.prod(block):
        raise n.malformed(f"blocks {list(block)} for {list(shape)}")
    before, after = n.constant(2).reshape(-1, 2).T.tolist()
    batch = shape[0] // math.prod(block)
    spatial = [size * b for size, b in zip(shape[1:-1], block, strict=True)]
    perm = [count, *(p for i in range(count) for p in (count + 1 + i, i)), 2 * count + 1]
    value = n.emit(
        "Reshape", n.stored(0), n.number((*block, batch, *shape[1:]), "int64", "parts"), step="Reshape"
    )
    value = n.emit("Transpose", value, step="Transpose", perm=perm)
    value = n.emit(
        "Reshape", value, n.number((batch, *spatial, shape[-1]), "int64", "shape"), step="Reshape_1"
    )
    ends = [size - crop for size, crop in zip(spatial, after, strict=True)]
    axes = n.number(range(1, count + 1), "int64", "axes")
    n.keep(n.emit("Slice", value, n.number(before, "int64", "begin"), n.number(ends, "int64", "end"), axes))


def padding_value(n: OperatorView) -> ir.Value:
    """The integer that stands for zero in input 0."""
    quantization = n.input(0).quantization
    return n.number(quantization.zero_point[0] if quantization else 0, n.input(0).dtype, "zero")


def _rearrange(n: OperatorView, parts: tuple[int, ...], perm: tuple[int, ...]) -> None:
    value = n.emit("Reshape", n.stored(0), n.number(parts, "int64", "parts"), step="Reshape")
    value = n.emit("Transpose", value, step="Transpose", perm=perm)
    n.keep(n.emit("Reshape", value, n.number(n.static(n.output()), "int64", "shape")))
