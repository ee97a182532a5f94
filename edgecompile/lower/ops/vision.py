"""GridSample, DeformConv and Col2Im."""

from __future__ import annotations

from edgecompile.kernels.compute import Layout, Window, shape_of
from edgecompile.kernels.compute_conv import col2im
from edgecompile.kernels.compute_sample import Deformation, Sampling, deform_conv, grid_sample
from edgecompile.lower.geometry import window_of
from edgecompile.lower.registry import Kind, NodeView, Tensor, op

# Names of the modes before opset 20.
_MODES = {"bilinear": "linear", "bicubic": "cubic"}


@op("GridSample", kind=Kind.OPAQUE)
def grid_sample_op(n: NodeView) -> Tensor:
    """Any rank; modes nearest, linear and cubic."""
    mode = n.attr("mode", "linear")
    sampling = Sampling(
        _MODES.get(mode, mode), n.attr("padding_mode", "zeros"), bool(n.attr("align_corners", 0))
    )
    return grid_sample(n.input(0), n.input(1), sampling)


@op("DeformConv", kind=Kind.OPAQUE)
def deform_conv_op(n: NodeView) -> Tensor:
    """Deformable convolution (version 2, with mask) of any rank."""
    window = window_of(n, Layout(channels_last=False), shape_of(n.input(1))[2:])
    bias, mask = (n.input(index) if n.has(index) else None for index in (3, 4))
    deformation = Deformation(window, n.attr("group", 1), n.attr("offset_group", 1))
    return deform_conv(n.input(0), n.input(1), n.input(2), bias, mask, deformation, n.outputs[0].shape)


@op("Col2Im", kind=Kind.ANCHOR, static=(1, 2))
def col2im_op(n: NodeView) -> Tensor:
    """Sum blocks [N, C * prod(block), L] into images [N, C, *image_shape]."""
    block = tuple(int(extent) for extent in n.require_const(2))
    rank = len(block)
    pads = tuple(n.attr("pads") or (0,) * 2 * rank)
    strides, dilations = (tuple(n.attr(name) or (1,) * rank) for name in ("strides", "dilations"))
    window = Window(block, strides, dilations, pads[:rank], pads[rank:])
    return col2im(n.input(0), window, n.outputs[0].shape)
