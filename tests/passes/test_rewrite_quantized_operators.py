from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgecompile.core.integer import DOMAIN
from edgecompile.core.model import Model, Provenance
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.rewrite_quantized_operators import RewriteQuantizedOperators
from tests.support.graphs import operators, run_proven
from tests.support.operators import node_model
from tests.support.passes import check_types
from tests.support.quantized import converted

RNG = np.random.default_rng(0)


def integers(*shape: int, dtype: str = "int8") -> np.ndarray:
    low = 0 if dtype == "uint8" else -127
    return RNG.integers(low, low + 255, shape).astype(dtype)


def scales(*values: float) -> np.ndarray:
    return np.asarray(values if len(values) > 1 else values[0], np.float32)


def typed(message: onnx.ModelProto, shape: tuple[int, ...], dtype: str) -> Model:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    message.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y0", kind, list(shape)))
    return FoldConstants()(Model(ir.from_proto(message), Provenance("test", "", 22))).model


def convolution(dtype: str, bias: bool) -> Model:
    inputs = [
        integers(1, 3, 8, 8, dtype=dtype), scales(0.02), np.asarray(3, dtype),
        integers(4, 3, 3, 3), scales(0.01, 0.02, 0.015, 0.03), np.zeros(4, np.int8),
        scales(0.1), np.asarray(5, dtype),
    ]  # fmt: skip
    if bias:
        inputs.append(RNG.integers(-2000, 2000, 4).astype(np.int32))
    constants = range(1, len(inputs))
    message = node_model("QLinearConv", inputs, constants, pads=[1, 1, 1, 1], strides=[2, 2])
    return typed(message, (1, 4, 4, 4), dtype)


def product(dtype: str) -> Model:
    inputs = [
        integers(5, 16, dtype=dtype), scales(0.02), np.asarray(3, dtype),
        integers(16, 4), scales(0.01), np.asarray(0, np.int8),
        scales(0.05), np.asarray(5, dtype),
    ]  # fmt: skip
    return typed(node_model("QLinearMatMul", inputs, range(1, 8)), (5, 4), dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", ["conv", "conv with bias", "product"])
def test_operator_is_spelled_in_float(dtype: str, kind: str) -> None:
    before = product(dtype) if kind == "product" else convolution(dtype, "bias" in kind)
    after = run_proven(RewriteQuantizedOperators(), before).model
    check_types(after)
    assert operators(after)[-2:] == ["MatMul" if kind == "product" else "Conv", "QuantizeLinear"]
    integer = converted(before, "single", dtype)
    assert sum(node.domain == DOMAIN for node in integer.graph.graph) == 1


def test_scales_of_the_network_stay_as_they_are() -> None:
    inputs = [
        integers(5, 16), scales(0.02), np.asarray(3, np.int8),
        integers(16, 4), scales(0.01), np.asarray(0, np.int8),
        scales(0.05), np.asarray(5, np.int8),
    ]  # fmt: skip
    before = typed(node_model("QLinearMatMul", inputs, range(2, 8)), (5, 4), "int8")
    assert not RewriteQuantizedOperators()(before).modified
