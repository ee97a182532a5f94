from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import UnsupportedError
from edgecompile.passes.quantize.half import store_in_half
from edgecompile.passes.quantize.recipes import find_recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from tests.support.compact import CompactGraph, expected
from tests.support.networks import save
from tests.support.passes import check_types, kinds, node_of
from tests.support.quantized import Array, as_model


def one_product(weights: Array) -> Model:
    g = CompactGraph()
    x = g.normal(2, len(weights))
    return as_model(g.model({"x": x}, g.node("MatMul", ["x", g.constant(weights)])))


def stored(model: Model, *keep_float: str) -> Rewritten:
    return store_in_half(model, None, find_recipe("fp16"), keep_float, lambda task, done, total: None)


def test_weights_and_tables_are_cast_from_float16() -> None:
    g = CompactGraph()
    i = np.array([[1, 2]])
    y = g.node("Gather", [g.constant(g.normal(40, 16)), "i"])
    y = g.node("Mul", [y, g.constant(g.normal(2, 16))])
    y = g.node("MatMul", [y, g.constant(g.normal(16, 16))])
    before = as_model(g.model({"i": i}, g.node("MatMul", [y, g.constant(g.normal(16, 3))])))
    bytes_before = before.to_bytes()
    result = stored(before)
    assert before.to_bytes() == bytes_before
    assert kinds(result.model) == ["Cast", "Gather", "Mul", "Cast", "MatMul", "MatMul"]
    assert result.layers == ("Gather0", "MatMul2")
    check_types(result.model)
    float16 = {16 * 40 * 2, 16 * 16 * 2}
    constants = [value.const_value for value in result.model.graph.graph.initializers.values()]
    assert {tensor.nbytes for tensor in constants if tensor and tensor.dtype.name == "FLOAT16"} == float16


def test_readers_share_one_cast() -> None:
    g = CompactGraph()
    x, w = g.normal(16, 16), g.constant(g.normal(16, 16))
    model = as_model(g.model({"x": x}, g.node("MatMul", [g.node("MatMul", ["x", w]), w])))
    result = stored(model)
    assert kinds(result.model) == ["Cast", "MatMul", "MatMul"]
    assert len(node_of(result.model, "Cast").outputs[0].consumers()) == 2


@pytest.mark.parametrize(
    ("factor", "why"),
    [
        (1e6, "float16 only 65504"),
        (1e-8, "so small that float16 would lose"),
        (np.nan, "not all of them are finite"),
    ],
)
def test_what_float16_cannot_hold_stays_float32(factor: float, why: str) -> None:
    g = CompactGraph()
    x, wide = g.normal(2, 16), g.normal(16, 16) * np.float32(factor)
    y = g.node("MatMul", [g.node("MatMul", ["x", g.constant(wide)]), g.constant(g.normal(16, 16))])
    result = stored(as_model(g.model({"x": x}, y)))
    assert result.layers == ("MatMul1",)
    (note,) = [note for note in result.model.notes if "stay in float32" in note]
    assert "MatMul0" in note
    assert why in note


def test_few_small_weights_among_others_do_no_harm() -> None:
    weights = CompactGraph().normal(16, 16)
    weights[3:5] *= 1e-7
    assert stored(one_product(weights)).layers == ("MatMul0",)


def test_a_network_without_weights_is_refused() -> None:
    with pytest.raises(UnsupportedError) as caught:
        stored(one_product(CompactGraph().normal(15, 17)))
    assert "error[EC4361] there are no weights to store in float16" in str(caught.value)


def test_the_reason_of_a_refusal_names_what_does_not_fit() -> None:
    with pytest.raises(UnsupportedError, match="the weights of MatMul0 stay in float32: they reach 1e"):
        stored(one_product(np.full((16, 16), 1e9, np.float32)))


def test_layers_can_be_kept() -> None:
    with pytest.raises(UnsupportedError, match="EC4361"):
        stored(one_product(CompactGraph().normal(16, 16)), "MatMul0")


def test_the_recipe_needs_no_samples_and_its_network_runs(tmp_path: Path) -> None:
    g = CompactGraph()
    x = g.normal(1, 8, 10, 10)
    y = g.node("Conv", ["x", g.constant(g.normal(16, 8, 3, 3)), g.constant(g.normal(16))])
    y = g.node("Flatten", [g.node("GlobalAveragePool", [g.node("Relu", [y])])])
    before = g.model(
        {"x": x}, g.node("Gemm", [y, g.constant(g.normal(40, 16)), g.constant(g.normal(40))], transB=1)
    )
    source = save(before, tmp_path / "net.onnx")
    result = quantize_source(str(source), QuantizeOptions(recipe="fp16"))
    assert result.report["layers_quantized"] == ["Conv0", "Gemm4"]
    sizes = result.report["bytes_of_constants"]
    assert sizes["quantized"] < 0.6 * sizes["float"]
    write_result(result, tmp_path / "half.onnx")
    wanted = expected(before, {"x": x})
    got = expected(onnx.load(tmp_path / "half.onnx"), {"x": x})
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())
    again = quantize_source(str(tmp_path / "half.onnx"), QuantizeOptions(recipe="fp16")).report
    assert again["layers_quantized"] == ["Conv0", "Gemm4"]
