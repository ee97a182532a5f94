from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgecompile.core.model import Model, Provenance
from edgecompile.passes.center_integer_weights import CenterIntegerWeights
from edgecompile.passes.fold_constants import FoldConstants
from tests.support.operators import Array, node_model
from tests.support.passes import kinds, node_of, proven, unchanged

RNG = np.random.default_rng(0)


def product(
    weights: Array, zero: Array | None, shape: tuple[int, ...] = (5, 16), a_zero: bool = True
) -> Model:
    """MatMulInteger of bytes [*shape] by constant `weights` with their zero point."""
    a = RNG.integers(0, 256, shape).astype(np.uint8)
    inputs = [a, weights, np.array(77, np.uint8) if a_zero else None, zero]
    message = node_model("MatMulInteger", inputs, constants=(1, 3))
    described = onnx.helper.make_tensor_value_info("y0", 6, [*shape[:-1], weights.shape[-1]])
    message.graph.output[0].CopyFrom(described)
    return FoldConstants()(Model(ir.from_proto(message), Provenance("test", "", 22))).model


def weights(low: int, high: int, dtype: str = "uint8") -> Array:
    """A matrix [16, 6] that holds both limits."""
    result = RNG.integers(low, high, (16, 6), endpoint=True).astype(dtype)
    result[0, :] = low
    result[1, :] = high
    return result


@pytest.mark.parametrize(
    ("stored", "zero"),
    [
        (weights(0, 200), np.array(100, np.uint8)),
        (weights(20, 100), np.array([30, 60, 20, 100, 90, 45], np.uint8)),
        (weights(-90, 100, "int8"), np.array(3, np.int8)),
        (weights(0, 127), None),
    ],
)
def test_weights_that_fit_are_centred(stored: Array, zero: Array | None) -> None:
    result = proven(CenterIntegerWeights(), product(stored, zero)).model
    assert kinds(result) == ["MatMulInteger"]
    node = node_of(result, "MatMulInteger")
    assert len(node.inputs) == 3
    assert node.inputs[1] is not None
    assert node.inputs[1].const_value is not None
    expected = stored.astype(int) - (0 if zero is None else zero.astype(int))
    np.testing.assert_array_equal(node.inputs[1].const_value.numpy(), expected.astype(np.int8))


@pytest.mark.parametrize("a_zero", [True, False])
@pytest.mark.parametrize("shape", [(5, 16), (2, 3, 16)])
@pytest.mark.parametrize("zero", [np.array(120, np.uint8), np.arange(100, 106).astype(np.uint8)])
def test_what_does_not_fit_is_taken_off_by_rows(zero: Array, shape: tuple[int, ...], a_zero: bool) -> None:
    result = proven(CenterIntegerWeights(), product(weights(0, 255), zero, shape, a_zero)).model
    assert kinds(result)[-1] == "Sub"
    node = node_of(result, "MatMulInteger")
    assert node.inputs[1] is not None
    assert node.inputs[1].dtype == ir.DataType.INT8


def convolution(weights: Array, zero: Array, group: int = 1) -> Model:
    """ConvInteger of bytes [2, C, 6, 7] with padding, by constant `weights` with their zero point."""
    x = RNG.integers(0, 256, (2, weights.shape[1] * group, 6, 7)).astype(np.uint8)
    inputs = [x, weights, np.array(77, np.uint8), zero]
    options: dict[str, Any] = {"pads": [1, 0, 1, 2], "strides": [1, 2], "group": group}
    message = node_model("ConvInteger", inputs, constants=(1, 3), **options)
    described = onnx.helper.make_tensor_value_info("y0", 6, [2, len(weights), 6, 4])
    message.graph.output[0].CopyFrom(described)
    return FoldConstants()(Model(ir.from_proto(message), Provenance("test", "", 22))).model


@pytest.mark.parametrize("zero", [np.array(120, np.uint8), np.arange(100, 104).astype(np.uint8)])
def test_convolutions_are_centred_or_split(zero: Array) -> None:
    narrow = RNG.integers(90, 140, (4, 3, 3, 3)).astype(np.uint8)
    assert kinds(proven(CenterIntegerWeights(), convolution(narrow, zero)).model) == ["ConvInteger"]
    grouped = RNG.integers(90, 140, (4, 1, 3, 3)).astype(np.uint8)
    assert kinds(proven(CenterIntegerWeights(), convolution(grouped, zero, 2)).model) == ["ConvInteger"]
    wide = RNG.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8)
    result = proven(CenterIntegerWeights(), convolution(wide, zero)).model
    assert kinds(result) == ["ConvInteger", "ConvInteger", "Mul", "Sub"]


def test_groups_whose_weights_do_not_fit_stay() -> None:
    grouped = np.array([0, 255] * 18, np.uint8).reshape(4, 1, 3, 3)
    unchanged(CenterIntegerWeights(), convolution(grouped, np.array(120, np.uint8), 2))


def test_centred_weights_stay() -> None:
    unchanged(CenterIntegerWeights(), product(weights(-128, 127, "int8"), np.zeros(6, np.int8)))
    unchanged(CenterIntegerWeights(), product(weights(-128, 127, "int8"), None))


def test_weights_that_are_not_known_stay() -> None:
    model = product(weights(0, 200), np.array(100, np.uint8))
    value = model.graph.graph.initializers.pop("x1")
    value.const_value = None
    model.graph.graph.inputs.append(value)
    unchanged(CenterIntegerWeights(), model)
