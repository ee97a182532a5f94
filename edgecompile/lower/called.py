"""Integer layers that are one call of a C function: what a node says, in the words of kernels/cortex_m.

Each function returns None for what the C functions do not compute, or are not chosen for; the general
definition does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from edgecompile.kernels.compute import Window, element_type, shape_of
from edgecompile.kernels.cortex_m import calls
from edgecompile.kernels.cortex_m.parameters import Factors, Geometry, Output
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.features import option_features
from edgecompile.kernels.schedules.space import Option, OptionSpace
from edgecompile.lower.registry import NodeView, Tensor

# The answer that has a layer computed by the general definition, where there is a C function for it.
NOT_CALLED = Option("called", 0)


def called_conv(n: NodeView, weights: np.ndarray, window: Window) -> Tensor | None:
    """A channels-last convolution of rank 1 or 2, by constant weights [O, C/G, *K]."""
    variant = calls.find_variant(n.isa)
    if variant is None or window.rank > 2 or not _is_int8(n, 0) or not _prefers_call(n):
        return None
    geometry = Geometry(
        _image(shape_of(n.input(0))),
        _image(n.outputs[0].shape),
        _pair(window.kernel, 1),
        _pair(window.strides, 1),
        _pair(window.dilations, 1),
        _pair(window.pads, 0),
        n.attr("group", 1),
        n.attr("x_zero"),
    )
    kernels = np.moveaxis(weights, 1, -1).reshape(len(weights), *geometry.kernel, -1)
    layer = calls.Layer(variant, n.outputs[0].shape, _output(n), n.weight)
    return calls.conv(layer, n.input(0), kernels, geometry, _factors(n))


def called_gemm(n: NodeView, weights: np.ndarray) -> Tensor | None:
    """A product by constant weights [N, K]."""
    variant = calls.find_variant(n.isa)
    if variant is None or not _is_int8(n, 0) or not _prefers_call(n):
        return None
    layer = calls.Layer(variant, n.outputs[0].shape, _output(n), n.weight)
    return calls.gemm(layer, n.input(0), weights, _factors(n))


def called_add(n: NodeView) -> Tensor | None:
    """A sum of two activations of the same shape."""
    same = shape_of(n.input(0)) == shape_of(n.input(1)) == n.outputs[0].shape
    variant = calls.find_variant(n.isa)
    if variant is None or n.node.op_type != "Add" or not same or not (_is_int8(n, 0) and _is_int8(n, 1)):
        return None
    if not _prefers_call(n):
        return None
    layer = calls.Layer(variant, n.outputs[0].shape, _output(n), n.weight)
    zeros = n.attr("a_zero"), n.attr("b_zero")
    return calls.add(layer, n.input(0), n.input(1), zeros, n.require_const(2), n.const(3))


def _prefers_call(n: NodeView) -> bool:
    """Whether a layer that a C function can compute shall be: the usual choice."""
    space = OptionSpace(
        NOT_CALLED.name, (1, 0), partial(option_features, Machine.of(n.isa), n.outputs[0].shape)
    )
    return n.plans.choose(space) != NOT_CALLED


def _is_int8(n: NodeView, index: int) -> bool:
    return element_type(n.input(index)) == n.outputs[0].dtype == "int8"


def _factors(n: NodeView) -> Factors:
    """Inputs 2 to 4 of a convolution or product."""
    return Factors(n.require_const(2), n.require_const(3), n.const(4))


def _output(n: NodeView) -> Output:
    return Output(n.attr("rounding"), *(int(n.attr(name)) for name in ("y_zero", "lo", "hi")))


def _image(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """[N, W, C] as an image of one row."""
    batch, *extents, channels = shape
    height, width = _pair(extents, 1)
    return batch, height, width, channels


def _pair(values: Sequence[int], first: int) -> tuple[int, int]:
    """Numbers of one or two axes for (y, x); `first` where there is no y."""
    y, x = (first, *values)[-2:]
    return y, x
