"""Every graph input gets one static shape, or the user is told what to type."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgecompile.errors import UnsupportedError, UsageError
from edgecompile.frontend.bind import bind_inputs
from edgecompile.frontend.options import ImportOptions
from tests.support.graphs import message


def graph(inputs: str, initializers: str = "") -> ir.Model:
    return ir.from_proto(message(f"g ({inputs}) => (float[N] y) {initializers} {{ y = Relu (x) }}"))


def bind(
    model: ir.Model, constants: dict[str, Any] | None = None, **shapes: tuple[int, ...]
) -> tuple[str, ...]:
    return bind_inputs(model, ImportOptions(shapes, constants or {}))


def shapes(model: ir.Model) -> dict[str, list[Any]]:
    return {value.name or "": list(value.shape or []) for value in model.graph.inputs}


def test_free_batch_dimension_becomes_one_and_is_noted() -> None:
    model = graph("float[N,3] x, float[?,4] u, float[2,2] v")
    assert bind(model) == ("dimension 'N' of input 'x' bound to 1", "dimension 0 of input 'u' bound to 1")
    assert shapes(model) == {"x": [1, 3], "u": [1, 4], "v": [2, 2]}


def test_same_symbol_is_bound_everywhere() -> None:
    model = graph("float[5,T] x, float[T,2] u")
    assert bind(model) == ("dimension 'T' of input 'u' bound to 1",)
    assert shapes(model) == {"x": [5, 1], "u": [1, 2]}


def test_given_shape_binds_symbols_of_other_inputs() -> None:
    model = graph("float[N,3] x, float[N,T] u, float[T] v")
    assert bind(model, u=(4, 7)) == ()
    assert shapes(model) == {"x": [4, 3], "u": [4, 7], "v": [7]}


def test_other_free_dimensions_must_be_given() -> None:
    with pytest.raises(UnsupportedError) as caught:
        bind(graph("float[N,3,H,W] x, float[N,K] u"))
    assert str(caught.value).splitlines() == [
        "error[EC4112] the shape of input 'x' is not known at 'x': it is (1, 3, H, W); sizes must be fixed "
        "at compile time. Fix: --input x:1,3,224,224 (with your sizes).",
        "error[EC4112] the shape of input 'u' is not known at 'u': it is (1, K); sizes must be fixed at "
        "compile time. Fix: --input u:1,224 (with your sizes).",
    ]


def test_unknown_rank_must_be_given() -> None:
    model = graph("float[] x, float[2] u")
    model.graph.inputs[0].shape = None
    with pytest.raises(UnsupportedError, match=r"even say its rank\. Fix: --input x:1,3,224,224"):
        bind(model)
    bind(model, x=(2, 2))
    assert shapes(model)["x"] == [2, 2]


@pytest.mark.parametrize("dim", [-1, "?", ""])
def test_other_spellings_of_unknown(dim: int | str) -> None:
    model = graph("float[2,3] x")
    model.graph.inputs[0].shape = ir.Shape([dim, dim])
    bind(model, x=(4, 5))
    assert shapes(model)["x"] == [4, 5]


@pytest.mark.parametrize("shape", [(1, 4), (1, 3, 1), ()])
def test_shape_that_contradicts_the_file(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        UsageError, match=r"EC2112\] shape \(.*\) does not fit input 'x'.*the file says \(N, 3\)"
    ):
        bind(graph("float[N,3] x"), x=shape)


def test_one_symbol_two_sizes() -> None:
    with pytest.raises(
        UsageError, match=r"dimension 'N' has two sizes at '--input': it is 2 in one place and 3"
    ):
        bind(graph("float[N] x, float[N] u"), x=(2,), u=(3,))


def test_unknown_names_are_all_listed_with_a_hint() -> None:
    with pytest.raises(UsageError) as caught:
        bind(graph("float[2] data"), {"nothing": np.zeros(2)}, dat=(2,))
    first, second = map(str, caught.value.problems)
    assert "EC2111] the network has no input 'dat' at '--input'. Fix: did you mean 'data'?" in first
    assert "no input 'nothing'" in second


def test_constants_stop_being_inputs() -> None:
    model = graph("float[2] x, int64[N] s")
    bind(model, {"s": np.array([1, 2])})
    assert shapes(model) == {"x": [2]}
    value = model.graph.initializers["s"]
    assert value.const_value is not None
    assert value.const_value.numpy().tolist() == [1, 2]
    assert list(value.shape or []) == [2]


@pytest.mark.parametrize("value", [np.array([0.5, 1]), np.zeros((2, 2), np.int64)])
def test_constant_of_another_type_or_rank(value: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"EC2112\] the value for input 's' does not fit at '--constant'"):
        bind(graph("float[2] x, int64[N] s"), {"s": value})


@pytest.mark.parametrize(
    ("declared", "given", "stored"),
    [
        ("float[2] s", np.array([1, 2]), np.array([1, 2], np.float32)),
        ("int64[N] s", np.array([1.0, 2.0]), np.array([1, 2])),
        ("int64[1] s", np.array(16000), np.array([16000])),
        ("float[N,1] s", np.array(3), np.array([[3]], np.float32)),
    ],
)
def test_constant_that_fits_without_loss(declared: str, given: np.ndarray, stored: np.ndarray) -> None:
    model = graph(f"float[2] x, {declared}")
    bind(model, {"s": given})
    value = model.graph.initializers["s"].const_value
    assert value is not None
    assert value.numpy().dtype == stored.dtype
    np.testing.assert_array_equal(value.numpy(), stored, strict=True)


def test_scalar_constant() -> None:
    model = graph("float[2] x, int64 s")
    bind(model, {"s": np.array(3)})
    assert model.graph.initializers["s"].shape == ir.Shape([])


def test_weights_listed_as_inputs_are_no_inputs() -> None:
    text = "float[2] x, float[2] w"
    model = graph(text, "<float[2] w = {1, 2}>")
    bind(model)
    assert shapes(model) == {"x": [2]}
    assert "w" in model.graph.initializers


def test_weights_named_by_the_user_become_inputs() -> None:
    model = graph("float[2] x, float[2] w", "<float[2] w = {1, 2}>")
    bind(model, w=(2,))
    assert shapes(model) == {"x": [2], "w": [2]}
    assert "w" not in model.graph.initializers


def test_inputs_that_are_no_tensors_of_numbers_are_all_named() -> None:
    with pytest.raises(UnsupportedError) as caught:
        bind(graph("float[2] x, string[2] names, seq(float[2]) list, optional(float[2]) maybe"))
    text = str(caught.value)
    assert [problem.code for problem in caught.value.problems] == ["EC4111"] * 3
    assert "input 'names' is not a tensor of numbers: it is a STRING" in text
    assert "input 'list'" in text
    assert "input 'maybe'" in text
