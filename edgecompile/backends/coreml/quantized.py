"""QuantizeLinear and DequantizeLinear: activations in 8 bits, weights in 8 and 4 bits."""

from __future__ import annotations

import numpy as np

from edgecompile.backends.coreml.constraints import LEAST_SCALE
from edgecompile.backends.coreml.registry import writes
from edgecompile.backends.coreml.view import NodeView
from edgecompile.passes.edit import Array, constant_of

# Of the greatest scale of a layer's channels.
_NEGLIGIBLE = 2.0**-10


@writes("QuantizeLinear")
def quantize(view: NodeView) -> None:
    zero, dtype = _zero(view), view.dtype()
    view.finish(
        view.emit(
            "quantize",
            input=view.variable(0),
            scale=_scale(view),
            zero_point=None if zero is None else zero.astype(dtype),
            axis=_axis(view),
            output_dtype=dtype,
        )
    )


@writes("DequantizeLinear")
def dequantize(view: NodeView) -> None:
    """Of activations at run time; weights are expanded at compile time, int32 biases here and now."""
    if constant_of(view.value(0)) is None:
        view.finish(
            view.emit(
                "dequantize",
                input=view.variable(0),
                scale=_scale(view),
                zero_point=_zero(view),
                axis=_axis(view),
            )
        )
        return
    data = view.array(0)
    if view.option("block_size", 0):
        view.finish(view.emit_four_bits(data.astype(np.int8), view.array(1).astype(np.float16)))
    elif data.dtype in (np.int8, np.uint8) and _survive(view.array(1)):
        zero = _zero(view)
        scale = _scale(view)
        view.finish(
            view.emit(
                "constexpr_affine_dequantize",
                quantized_data=data,
                scale=scale,
                zero_point=np.zeros(scale.shape, data.dtype) if zero is None else zero,
                axis=_axis(view) or 0,
            )
        )
    else:
        view.finish(_expanded(view, data))


def _survive(scales: Array) -> bool:
    """Whether float16 holds the scales, but for channels whose weights hardly count: these may become 0."""
    lost = scales[scales < LEAST_SCALE].max(initial=0)
    return bool(lost <= _NEGLIGIBLE * scales.max())


def _expanded(view: NodeView, data: Array) -> Array:
    scale, zero, axis = view.array(1), _zero(view), _axis(view)
    if axis is not None:
        shape = [-1 if at == axis else 1 for at in range(data.ndim)]
        scale, zero = scale.reshape(shape), None if zero is None else zero.reshape(shape)
    shifted = data.astype(np.float64) - (0 if zero is None else zero)
    return np.asarray(shifted * scale).astype(np.float16)


def _scale(view: NodeView) -> Array:
    """A scalar or a vector, as float16."""
    scale = view.array(1).astype(np.float16)
    return scale.reshape(()) if scale.size == 1 else scale.ravel()


def _zero(view: NodeView) -> Array | None:
    if not view.has(2):
        return None
    zero = view.array(2)
    return zero.reshape(()) if zero.size == 1 else zero.ravel()


def _axis(view: NodeView) -> int | None:
    """The axis of the scales, None when there is one scale."""
    return None if view.array(1).size == 1 else view.option("axis", 1) % view.rank
