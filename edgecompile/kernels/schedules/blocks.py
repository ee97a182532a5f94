"""What the blocks of a TIR schedule are."""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx


def blocks_of(schedule: s_tir.Schedule) -> list[Any]:
    """All blocks of a kernel, in order."""
    # A function of one extern block has that block at its root.
    root = schedule.mod["main"].body.block
    return list(schedule.get_child_blocks(schedule.get_sblock(root.name_hint)))


def is_reduction(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether a block adds up, or combines otherwise, along some axis."""
    body = schedule.get(block)
    return body.init is not None and any(v.iter_type == tirx.IterVar.CommReduce for v in body.iter_vars)


def is_spatial(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether a block computes each element of its result by itself."""
    variables = schedule.get(block).iter_vars
    return len(variables) > 0 and all(v.iter_type == tirx.IterVar.DataPar for v in variables)


def has_own_loops(schedule: s_tir.Schedule, block: Any) -> bool:
    """Whether a spatial block is in exactly the loops over its own axes: nothing was moved or split yet."""
    loops = schedule.get_loops(block)
    return is_spatial(schedule, block) and len(loops) == len(schedule.get(block).iter_vars)


def same_shape(schedule: s_tir.Schedule, block: Any, consumer: Any) -> bool:
    """Whether the consumer's loops run over exactly the block's output, element by element."""
    written = schedule.get(block).writes[0].source
    body = schedule.get(consumer)
    extents = [int(v.dom.extent) for v in body.iter_vars]
    if extents != [int(extent) for extent in written.ty.shape] or not is_spatial(schedule, consumer):
        return False
    reads = [read for read in body.reads if read.source.same_as(written)]
    return all(
        extent == 1 or region.min.same_as(v.var)
        for read in reads
        for extent, region, v in zip(extents, read.region, body.iter_vars, strict=True)
    )


def single_block(schedule: s_tir.Schedule) -> tuple[Any, Any | None] | None:
    """The block that a kernel consists of, and the one that reads it element by element, if there is one.

    None for a kernel of any other form.
    """
    blocks = blocks_of(schedule)
    if not 1 <= len(blocks) <= 2:
        return None
    consumers = schedule.get_consumers(blocks[0])
    if len(blocks) != 1 + len(consumers):
        return None
    if consumers and not same_shape(schedule, blocks[0], consumers[0]):
        return None
    return blocks[0], consumers[0] if consumers else None
