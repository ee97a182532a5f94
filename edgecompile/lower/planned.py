"""Products with constant weights: planned for the target, weights packed for the plan.

The micro-kernel decides the arithmetic: float_kernel for float32, integer_kernel for bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.kernels.compute import Tensor, Window, element_type, shape_of
from edgecompile.kernels.compute_gemm import (
    PACKED,
    GemmPlan,
    pack_gemm_weights,
    packed_conv,
    packed_matmul,
)
from edgecompile.kernels.compute_winograd import pack_winograd_weights, winograd_conv
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import Product, choose_plan
from edgecompile.kernels.schedules.winograd_plan import choose_winograd
from edgecompile.lower.registry import NodeView


def planned_conv(
    n: NodeView, weights: np.ndarray, window: Window, kernel: MicroKernel, pad: int = 0
) -> Tensor:
    """The sums of a channels-last convolution by constant weights [O, C/G, *K]; `pad` surrounds the data."""
    data, shape, groups = n.input(0), n.outputs[0].shape, n.attr("group", 1)
    rows = np.moveaxis(weights, 1, -1).reshape(len(weights), -1)
    element_bytes = np.dtype(kernel.data).itemsize
    product = Product(
        shape, shape_of(data), len(rows) // groups, rows.shape[1], element_bytes, groups, window, pad
    )
    plan = _plan(n, data, product, kernel)
    floats = kernel.accumulator == "float32"
    winograd = choose_winograd(kernel, Machine.of(n.isa), product, plan) if floats else None
    if winograd is not None:
        packed = n.weight(pack_winograd_weights(weights, winograd), PACKED)
        return winograd_conv(data, packed, winograd, shape)
    packed = n.weight(pack_gemm_weights(rows, plan), PACKED)
    return packed_conv(data, packed, plan, shape, kernel.accumulator)


def planned_matmul(
    n: NodeView, data: Tensor, rows: np.ndarray, shape: Sequence[int], kernel: MicroKernel
) -> Tensor:
    """The sums of `data` [..., K] by constant weights, `rows` [N, K], of `shape` [..., N]."""
    columns, depth = rows.shape
    product = Product(shape, shape_of(data), columns, depth, np.dtype(kernel.data).itemsize)
    plan = _plan(n, data, product, kernel)
    packed = n.weight(pack_gemm_weights(np.ascontiguousarray(rows), plan), PACKED)
    return packed_matmul(data, packed, plan, shape, kernel.accumulator)


def _plan(n: NodeView, data: Tensor, product: Product, kernel: MicroKernel) -> GemmPlan:
    return choose_plan(kernel, Machine.of(n.isa), product, converts=kernel.data != element_type(data))
