"""Products with constant weights: planned for the target, weights packed for the plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.kernels.compute import Tensor, Window, shape_of
from edgecompile.kernels.compute_gemm import PACKED, pack_gemm_weights, packed_conv, packed_matmul
from edgecompile.kernels.compute_winograd import pack_winograd_weights, winograd_conv
from edgecompile.kernels.intrinsics.select import float_kernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import Product, choose_plan
from edgecompile.kernels.schedules.winograd_plan import choose_winograd
from edgecompile.lower.registry import NodeView


def planned_conv(n: NodeView, weights: np.ndarray, window: Window) -> Tensor:
    """The sums of a channels-last convolution by constant float32 weights [O, C/G, *K]."""
    groups, shape, data = n.attr("group", 1), n.outputs[0].shape, n.input(0)
    rows = np.moveaxis(weights, 1, -1).reshape(weights.shape[0], -1)
    product = Product(shape, shape_of(data), len(rows) // groups, rows.shape[1], 4, groups, window)
    kernel, machine = float_kernel(n.isa), Machine.of(n.isa)
    plan = choose_plan(kernel, machine, product)
    winograd = choose_winograd(kernel, machine, product, plan)
    if winograd is not None:
        packed = n.weight(pack_winograd_weights(weights, winograd), PACKED)
        return winograd_conv(data, packed, winograd, shape)
    packed = n.weight(pack_gemm_weights(rows, plan), PACKED)
    return packed_conv(data, packed, plan, shape, "float32")


def planned_matmul(n: NodeView, data: Tensor, weights: np.ndarray, shape: Sequence[int]) -> Tensor:
    """The sums of `data` [..., K] by constant float32 weights [K, N], of `shape` [..., N]."""
    depth, columns = weights.shape
    product = Product(shape, shape_of(data), columns, depth, 4)
    plan = choose_plan(float_kernel(n.isa), Machine.of(n.isa), product)
    packed = n.weight(pack_gemm_weights(np.ascontiguousarray(weights.T), plan), PACKED)
    return packed_matmul(data, packed, plan, shape, "float32")
