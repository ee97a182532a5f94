"""Convolutions and matrix products in integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgecompile.core.integer import DOMAIN, sum_shift
from edgecompile.core.model import describe_quantization
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.integer.elementwise import convert_add
from edgecompile.passes.integer.quantized import Quantized, Weights, constant_integers, constant_weights
from edgecompile.passes.integer.site import Site, StaysFloat
from edgecompile.passes.matching import only_reader, produced_by
from edgecompile.passes.rewriting import insert

_WINDOW = ("strides", "dilations", "pads", "group")
# Sums beyond these cannot be computed, nor be rescaled with sense: the first for bytes.
_LIMIT_32, _LIMIT_64 = 1 << 31, 1 << 53


def convert_conv(site: Site) -> None:
    """Conv in both layouts; the zero point of the input goes into the bias."""
    lo, hi = site.clamp()
    x, weights = site.operand(0), _weights(site, 1, axis=0)
    attributes = site.kept_attributes(*_WINDOW) | site.result_attributes(lo, hi)
    attributes |= {"kernel_shape": weights.integers.shape[2:], "x_zero": x.zero}
    constants, width = _constants(site, x, weights)
    kind = "ConvNhwc" if site.op.layout == "nhwc" else "Conv"
    site.become(kind, [x.value, *constants], attributes | width)


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
    constants, width = _constants(site, x, weights, attributes.get_float("beta", 1.0))
    site.become("Gemm", [x.value, *constants], site.result_attributes(lo, hi) | {"x_zero": x.zero} | width)


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
    shift = _sum_shift(site, [x.shape[-1] * x.reach * other.reach], x.is_wide or other.is_wide)
    factor = x.scale * other.scale / site.result.scale * 2.0**shift
    attributes = site.result_attributes(lo, hi) | {"a_zero": x.zero, "b_zero": other.zero} | _width(shift)
    site.become("MatMul", [x.value, other.value, *site.multiplier([factor])], attributes)


def convert_sum(site: Site) -> None:
    """Add; that of a bias to a product with a constant matrix becomes part of the product."""
    found = _biased_product(site.node)
    if found is None:
        convert_add(site)
        return
    product, weights, bias = found
    lo, hi = site.clamp()
    site = replace(site, node=product)
    _rows_times_matrix(site, site.operand(0), weights, lo, hi, bias)


def _biased_product(add: ir.Node) -> tuple[ir.Node, Weights, ir.Value] | None:
    """A MatMul with constant weights that only `add` reads, these weights, and the constant it adds."""
    for value, bias in (add.inputs, add.inputs[::-1]):
        product = produced_by(value, "MatMul")
        if product is None or value is None or bias is None or only_reader(value) is not add:
            continue
        weights, shape = constant_weights(product.inputs[1], axis=-1), static_shape(value) or ()
        stored = constant_integers(bias)
        array = constant_of(bias) if stored is None else stored[0]
        if isinstance(weights, str) or weights.integers.ndim != 2 or array is None:
            continue
        if array.shape[-1:] == shape[-1:] == (array.size,) and array.ndim <= len(shape):
            return product, weights, bias
    return None


def _rows_times_matrix(
    site: Site, x: Quantized, weights: Weights, lo: int, hi: int, bias: ir.Value | None = None
) -> None:
    transposed = Weights(np.ascontiguousarray(weights.integers.T), weights.scales)
    depth, columns = weights.integers.shape
    rows = site.reshaped(x.value, (math.prod(x.shape[:-1]), depth))
    constants, width = _constants(site, x, transposed, added=bias)
    inputs = [rows, *constants]
    attributes = site.result_attributes(lo, hi) | {"x_zero": x.zero} | width
    if len(x.shape) == 2:
        site.become("Gemm", inputs, attributes)
        return
    shape = (math.prod(x.shape[:-1]), columns)
    dtype = site.quantize.outputs[0].dtype
    product = insert(site.quantize, "Gemm", inputs, attributes, shape=shape, dtype=dtype, domain=DOMAIN)
    describe_quantization(product, site.result.scale, site.result.zero)
    target = static_shape(site.node.outputs[0]) or ()
    site.become("Reshape", [product, site.constant(np.array(target, np.int64), "shape")], {}, domain="")


def _weights(site: Site, index: int, axis: int) -> Weights:
    weights = constant_weights(site.node.inputs[index], axis)
    if isinstance(weights, str):
        raise StaysFloat(weights)
    return weights


def _constants(
    site: Site, x: Quantized, weights: Weights, beta: float = 1.0, added: ir.Value | None = None
) -> tuple[list[ir.Value], dict[str, int]]:
    """Weights [O, ...], folded bias, multiplier and shift; and the attribute that sums of 64 bits need.

    The bias is `added`, or input 2.
    """
    count = weights.integers.shape[0]
    scales = weights.channels(count)
    own = site.node.inputs[2] if len(site.node.inputs) > 2 else None
    bias = _bias(own if added is None else added, x.scale * scales, beta)
    sums = weights.integers.reshape(count, -1).astype(np.int64)
    shift = _sum_shift(site, x.reach * np.abs(sums).sum(1) + np.abs(bias), x.is_wide)
    folded = (bias - x.zero * sums.sum(1)).astype(np.int64 if shift else np.int32)
    factors = site.multiplier(x.scale * scales / site.result.scale * 2.0**shift)
    constants = [site.constant(weights.integers, "weights"), site.constant(folded, "bias"), *factors]
    return constants, _width(shift)


def _bias(value: ir.Value | None, scales: Array, beta: float) -> Array:
    """The bias in units of `scales`, int64; as it is stored when it is stored in these units."""
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
    whole = np.rint(np.broadcast_to(real, scales.shape) / scales)
    return np.clip(whole, -_LIMIT_64, _LIMIT_64).astype(np.int64)


def _sum_shift(site: Site, greatest: Sequence[int] | Array, may_be_wide: bool) -> int:
    """By how many bits sums are shifted, from what each channel can reach; 0 where int32 holds them.

    Raises UnsupportedError where neither will do: EC4030 for sums of bytes, EC4371 for those of 16 bits.
    """
    worst = int(max(greatest, default=0))
    if worst < _LIMIT_32:
        return 0
    if may_be_wide and worst < _LIMIT_64:
        return sum_shift(worst)
    code, bits = ("EC4371", 64) if may_be_wide else ("EC4030", 32)
    raise UnsupportedError(
        Problem(
            code,
            f"a sum of {bits} bits could overflow",
            site.name,
            f"channel {int(np.argmax(greatest))} can reach {worst}",
            "quantize this layer's weights or bias with larger scales, or leave it in float",
        )
    )


def _width(shift: int) -> dict[str, int]:
    return {"sum_shift": shift} if shift else {}
