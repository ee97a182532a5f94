"""RoiAlign, MaxRoiPool and MaxUnpool."""

from __future__ import annotations

from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.compute_roi import RoiAlignment, max_roi_pool, max_unpool, roi_align
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("RoiAlign", kind=Kind.OPAQUE)
def roi_align_op(n: NodeView) -> Tensor:
    """Regions are x1, y1, x2, y2 of the image that batch_indices names."""
    alignment = RoiAlignment(
        n.attr("mode", "avg") == "max",
        int(n.attr("sampling_ratio", 0)),
        float(n.attr("spatial_scale", 1.0)),
        n.attr("coordinate_transformation_mode", "half_pixel") == "half_pixel",
    )
    return roi_align(n.input(0), n.input(1), n.input(2), alignment, n.outputs[0].shape)


@op("MaxRoiPool", kind=Kind.OPAQUE)
def max_roi_pool_op(n: NodeView) -> Tensor:
    """Regions are image, x1, y1, x2, y2."""
    return max_roi_pool(n.input(0), n.input(1), float(n.attr("spatial_scale", 1.0)), n.outputs[0].shape)


@op("MaxUnpool", kind=Kind.OPAQUE, static=(2,))
def max_unpool_op(n: NodeView) -> Tensor:
    """The partial inverse of MaxPool; positions are those of the natural output extents."""
    inputs, kernel = shape_of(n.input(0)), n.attr("kernel_shape")
    rank = len(kernel)
    strides, pads = n.attr("strides") or (1,) * rank, n.attr("pads") or (0,) * 2 * rank
    extents = [
        (extent - 1) * stride - pads[axis] - pads[rank + axis] + size
        for axis, (extent, stride, size) in enumerate(zip(inputs[2:], strides, kernel, strict=True))
    ]
    return max_unpool(n.input(0), n.input(1), (*inputs[:2], *extents), n.outputs[0].shape)
