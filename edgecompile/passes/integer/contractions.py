"""Convolutions and matrix products in integers."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgecompile.core.integer import DOMAIN
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.integer.quantized import Quantized, Weights, constant_integers, constant_weights
from edgecompile.passes.integer.site import Site, StaysFloat
from edgecompile.passes.rewriting import insert

_WINDOW = ("strides", "dilations", "pads", "group")
_INT32_MAX = (1 << 31) - 1
# The greatest distance of an 8-bit integer from its zero point.
_GREATEST = 255


def convert_conv(site: Site) -> None:
    """Conv in both layouts; the zero point of the input goes into the bias."""
    lo, hi = site.clamp()
    x, weights = site.operand(0), _weights(site, 1, axis=0)
    attributes = site.kept_attributes(*_WINDOW) | site.result_attributes(lo, hi)
    attributes |= {"kernel_shape": weights.integers.shape[2:], "x_zero": x.zero}
    kind = "ConvNhwc" if site.op.layout == "nhwc" else "Conv"
    site.become(kind, [x.value, *_constants(site, x, weights)], attributes)


def convert_gemm(site: Site) -> None:
    """Gemm with constant weights, which the integer operator takes as [N, K]."""
    attributes = site.node.attributes
    if attributes.get_int("transA", 0) or attributes.get_float("alpha", 1.0) != 1.0:
        raise StaysFloat("it has transA or alpha")
    lo, hi = site.clamp()
    transposed = bool(attributes.get_int("transB", 0))
    x, weights = site.operand(0), _weights(site, 1, axis=0 if transposed else 1)
    if not transposed:
        weights = Weights(np.ascontiguousarray(weights.integers.T), weights.scales)
    constants = _constants(site, x, weights, attributes.get_float("beta", 1.0))
    site.become("Gemm", [x.value, *constants], site.result_attributes(lo, hi) | {"x_zero": x.zero})


def convert_matmul(site: Site) -> None:
    """A product of two activations; one with a constant matrix is a Gemm of all rows."""
    lo, hi = site.clamp()
    x = site.operand(0)
    second = static_shape(site.node.inputs[1]) or ()
    weights = constant_weights(site.node.inputs[1], axis=-1) if len(second) == 2 else ""
    if isinstance(weights, Weights):
        _rows_times_matrix(site, x, weights, lo, hi)
        return
    other = site.operand(1)
    if min(len(x.shape), len(other.shape)) < 2:
        raise StaysFloat("it is a product with a vector")
    _check_sum(site, np.full(1, x.shape[-1] * _GREATEST * _GREATEST))
    factor = x.scale * other.scale / site.result.scale
    attributes = site.result_attributes(lo, hi) | {"a_zero": x.zero, "b_zero": other.zero}
    site.become("MatMul", [x.value, other.value, *site.multiplier([factor])], attributes)


def _rows_times_matrix(site: Site, x: Quantized, weights: Weights, lo: int, hi: int) -> None:
    transposed = Weights(np.ascontiguousarray(weights.integers.T), weights.scales)
    depth, columns = weights.integers.shape
    rows = site.reshaped(x.value, (math.prod(x.shape[:-1]), depth))
    inputs = [rows, *_constants(site, x, transposed)]
    attributes = site.result_attributes(lo, hi) | {"x_zero": x.zero}
    if len(x.shape) == 2:
        site.become("Gemm", inputs, attributes)
        return
    shape = (math.prod(x.shape[:-1]), columns)
    dtype = site.quantize.outputs[0].dtype
    product = insert(site.quantize, "Gemm", inputs, attributes, shape=shape, dtype=dtype, domain=DOMAIN)
    target = static_shape(site.node.outputs[0]) or ()
    site.become("Reshape", [product, site.constant(np.array(target, np.int64), "shape")], {}, domain="")


def _weights(site: Site, index: int, axis: int) -> Weights:
    weights = constant_weights(site.node.inputs[index], axis)
    if isinstance(weights, str):
        raise StaysFloat(weights)
    return weights


def _constants(site: Site, x: Quantized, weights: Weights, beta: float = 1.0) -> list[ir.Value]:
    """Weights [O, ...], folded bias, multiplier and shift."""
    count = weights.integers.shape[0]
    scales = weights.channels(count)
    bias = _bias(site, x.scale * scales, beta)
    sums = weights.integers.reshape(count, -1).astype(np.int64)
    _check_sum(site, _GREATEST * np.abs(sums).sum(1) + np.abs(bias))
    folded = (bias - x.zero * sums.sum(1)).astype(np.int32)
    factors = site.multiplier(x.scale * scales / site.result.scale)
    return [site.constant(weights.integers, "weights"), site.constant(folded, "bias"), *factors]


def _bias(site: Site, scales: Array, beta: float) -> Array:
    """The bias in units of `scales`, int64; as it is stored when it is stored in these units."""
    value = site.node.inputs[2] if len(site.node.inputs) > 2 else None
    if value is None:
        return np.zeros(scales.shape, np.int64)
    stored = constant_integers(value)
    if stored is not None and beta == 1.0:
        integers, own = stored
        if np.allclose(own, scales, rtol=1e-5, atol=0.0) and integers.size == scales.size:
            return integers.reshape(-1)
        real = (integers * own).reshape(-1)
    else:
        array = constant_of(value)
        if array is None:
            raise StaysFloat("its bias is not constant")
        real = array.astype(np.float64).reshape(-1) * beta
    if real.size not in (1, scales.size):
        raise StaysFloat("its bias is not one number a channel")
    return np.rint(np.broadcast_to(real, scales.shape) / scales).astype(np.int64)


def _check_sum(site: Site, greatest: Array) -> None:
    """Raise UnsupportedError (EC4030) when a sum could leave int32."""
    worst = int(greatest.max(initial=0))
    if worst > _INT32_MAX:
        channel = int(greatest.argmax())
        raise UnsupportedError(
            Problem(
                "EC4030",
                "a sum of 32 bits could overflow",
                site.name,
                f"channel {channel} can reach {worst}",
                "quantize this layer's weights or bias with larger scales, or leave it in float",
            )
        )
