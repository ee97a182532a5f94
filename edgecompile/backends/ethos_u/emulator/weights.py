"""Put decompressed weights in the order that NumPy wants.

Decompressed weights are in the order in which the NPU's multipliers consume them. From the outermost loop:
blocks of output channels (OFM_BLK_DEPTH), blocks of input channels (32; 16 for 16-bit inputs or part-kernel
order), parts of the kernel of at most 8x8 (dilation included), then
- depth first: micro-blocks of output channels, kernel elements, groups of 8 input channels;
- part kernel first: groups of 8 input channels, micro-blocks of output channels, kernel elements;
and in a micro-block: output channels, then the 8 input channels. Kernel elements are padded with zeros to a
multiple of 4 (2 for 16-bit inputs) in depthwise and part-kernel order. With two cores each has a stream, one
for the even and one for the odd output channels. Source: Arm's `ethos_u55_weight_encoder.cpp` in Vela.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.memory import Array, Memory, Span
from edgecompile.backends.ethos_u.emulator.state import Registers
from edgecompile.backends.ethos_u.emulator.weight_stream import decompress

_GROUP = 8
_PART = 8


@dataclass(frozen=True)
class Order:
    """What decides the order of one core's weights; `kernel` and `dilation` are (y, x)."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    outputs: int
    inputs: int
    block: int
    micro_block: int
    is_depthwise: bool
    is_part_kernel: bool
    is_wide: bool


def read_stream(memory: Memory, registers: Registers, core: int) -> bytes:
    """The compressed weights of one core."""
    name = f"WEIGHT{core or ''}"
    length = registers[f"{name}_LENGTH"]
    region, base = registers["WEIGHT_REGION"], registers[f"{name}_BASE"]
    span = Span(f"NPU_SET_{name}_BASE", region, base, np.dtype(np.uint8), (length,), (1,))
    return memory.read(span).tobytes()


def decode_weights(stream: bytes, order: Order) -> Array:
    """Weights [kernel y, kernel x, inputs, outputs], int16; inputs is 1 for depthwise. Fault EC4567."""
    numbers = decompress(stream)
    weights = np.zeros((order.outputs, *order.kernel, order.inputs), np.int16)
    position = 0
    for first in range(0, order.outputs, order.block):
        outputs = min(order.block, order.outputs - first)
        for channel in range(0, order.inputs, _input_block(order)):
            inputs = min(_input_block(order), order.inputs - channel)
            for rows, columns in _parts(order):
                shape = _block_shape(order, outputs, inputs, rows, columns)
                size = int(np.prod(shape))
                if position + size > len(numbers):
                    why = f"there are {len(numbers)}, and at least {position + size} are needed"
                    raise Fault("EC4567", "there are too few weights", why)
                block = _unpacked(numbers[position : position + size].reshape(shape), rows, columns)
                position += size
                target = weights[first : first + outputs, rows, columns, channel : channel + inputs]
                target[...] = block[:outputs, :, :, :inputs]
    if position < len(numbers):
        why = f"there are {len(numbers)}, and {position} are needed"
        raise Fault("EC4567", "there are too many weights", why)
    return weights.transpose(1, 2, 3, 0)


def _input_block(order: Order) -> int:
    return 16 if order.is_part_kernel or order.is_wide else 32


def _parts(order: Order) -> list[tuple[slice, slice]]:
    steps = [_PART // dilation for dilation in order.dilation]
    rows, columns = (
        [slice(at, min(at + step, size)) for at in range(0, size, step)]
        for size, step in zip(order.kernel, steps, strict=True)
    )
    return [(row, column) for row in rows for column in columns]


def _block_shape(order: Order, outputs: int, inputs: int, rows: slice, columns: slice) -> tuple[int, ...]:
    """Outer groups of inputs, micro-blocks, kernel elements, inner groups, and the micro-block itself."""
    micro_blocks = -(-outputs // order.micro_block)
    elements = (rows.stop - rows.start) * (columns.stop - columns.start)
    if order.is_depthwise:
        return 1, micro_blocks, -(-elements // 4) * 4, 1, order.micro_block, 1
    if order.is_part_kernel:
        padding = 2 if order.is_wide else 4
        padded = -(-elements // padding) * padding
        return -(-inputs // _GROUP), micro_blocks, padded, 1, order.micro_block, _GROUP
    return 1, micro_blocks, elements, _input_block(order) // _GROUP, order.micro_block, _GROUP


def _unpacked(block: Array, rows: slice, columns: slice) -> Array:
    """[outputs, kernel y, kernel x, inputs] from the dimensions of `_block_shape`."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    ordered = block[:, :, : height * width].transpose(1, 4, 2, 0, 3, 5)
    return ordered.reshape(ordered.shape[0] * ordered.shape[1], height, width, -1)
