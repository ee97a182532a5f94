"""Whole networks with weights in 4 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from edgecompile.backends.pipeline import optimize
from edgecompile.core.model import Model
from edgecompile.core.target import find_target
from edgecompile.errors import EdgeCompileError, InputError, UnsupportedError
from edgecompile.frontend.load import import_model
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import run_model
from edgecompile.passes.quantize import awq, weight_only
from edgecompile.passes.quantize.measure import tensor_ratios
from edgecompile.passes.quantize.recipes import find_recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.passes.quantize.samples import Samples
from edgecompile.passes.quantize.weight_layers import find_layers
from edgecompile.quantize import QuantizeOptions, quantize_source
from tests.passes.quantize.networks import graph, prepared, prepared_cnn
from tests.support.matrix_networks import Array, correlated, decibels, perceptron, transformer
from tests.support.networks import save
from tests.support.passes import node_of, weights

RECIPE = find_recipe("int4w")


def quantized(
    model: Model, rows: Iterable[Array | Mapping[str, Array]], keep_float: Sequence[str] = ()
) -> Rewritten:
    samples = Samples(lambda: rows, model.inputs, "test")
    return weight_only.weight_only(model, samples, RECIPE, keep_float, lambda task, done, total: None)


def rounded(model: Model) -> Model:
    """`model` with the weights of its layers rounded to nearest, each by itself."""
    result = model.copy()
    for node in find_layers(result.graph.graph, ()):
        value = node.inputs[1]
        array = constant_of(value)
        assert array is not None
        assert value is not None
        scales = np.abs(array.reshape(-1, 32, array.shape[1])).max(axis=1).repeat(32, axis=0) / 7
        value.const_value = ir.tensor((np.rint(array / scales) * scales).astype(np.float32), name=value.name)
    return result


def ratio(before: Model, after: Model, rows: Sequence[Array]) -> float:
    """The signal-to-noise ratio of the output in dB."""
    return tensor_ratios(before, after, {"y": "y"}, [{"x": row} for row in rows])["y"]


def tokens(count: int, seed: int, width: int = 64, length: int = 16) -> list[Array]:
    rows = correlated(width, count * length, seed).reshape(count, 1, length, width)
    return list(rows / np.float32(10))


def test_perceptron_reaches_24_decibels() -> None:
    model = prepared(perceptron())
    held_out = list(correlated(256, 200, seed=11)[:, None])
    result = quantized(model, [correlated(256, 128, seed=10)])
    assert result.layers == ("first", "second")
    found, plain = ratio(model, result.model, held_out), ratio(model, rounded(model), held_out)
    assert plain < 18
    assert found >= 24


def test_transformer_is_far_better_than_rounded() -> None:
    model = prepared(transformer())
    result = quantized(model, tokens(48, seed=10)).model
    held_out = tokens(8, seed=11)
    assert ratio(model, result, held_out) > ratio(model, rounded(model), held_out) + 5


def test_factors_of_inputs_are_worth_their_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the average of networks: every layer gains, but a network's output may lose what its layers gain.

    On fewer samples held out, which of two is better is a matter of chance.
    """
    rows, held_out = tokens(96, seed=10), tokens(200, seed=11)
    gains = []
    for model in (prepared(transformer(layers=1, seed=seed)) for seed in range(4)):
        scaled = quantized(model, rows).model
        with monkeypatch.context() as patch:
            patch.setattr(awq, "_EXPONENTS", (0.0,))
            plain = quantized(model, rows).model
        gains.append(ratio(model, scaled, held_out) - ratio(model, plain, held_out))
    assert np.mean(gains) > 0.1


def test_the_form_is_standard_and_keeps_the_model(tmp_path: Path) -> None:
    model = prepared(perceptron(50, 40, opset=13))
    before = model.to_bytes()
    after = quantized(model, [correlated(50, 20, seed=1)]).model
    assert model.to_bytes() == before
    onnx.checker.check_model(after.to_proto(), full_check=True)
    assert after.graph.graph.opset_imports[""] >= 21
    pairs = [node for node in after.graph.graph if node.op_type == "DequantizeLinear"]
    shapes = [[tuple(value.shape or ()) for value in node.inputs if value is not None] for node in pairs]
    assert shapes == [[(50, 40), (2, 40)], [(40, 50), (2, 50)]]
    for node in pairs:
        assert node.inputs[0] is not None
        assert node.inputs[0].dtype == ir.DataType.INT4
        assert (node.attributes.get_int("axis", 1), node.attributes.get_int("block_size", 0)) == (0, 32)
    assert set(after.graph.graph.initializers) == {"w1/int4", "w1/scales", "w2/int4", "w2/scales"}
    assert after.to_bytes() == quantized(model, [correlated(50, 20, seed=1)]).model.to_bytes()


def test_a_producer_that_is_quantized_takes_the_factors() -> None:
    """Relu between two layers: factors go into the scales of the first."""
    model = prepared(perceptron(64, 64))
    first = node_of_layer(model, "first")
    old = constant_of(first.inputs[1])
    assert old is not None
    assert first.inputs[1] is not None
    gains = np.where(np.arange(64) % 8 == 0, 16.0, 1.0).astype(np.float32)
    first.inputs[1].const_value = ir.tensor(old * gains, name="w1")
    rows, held_out = [correlated(64, 200, seed=1)], list(correlated(64, 50, seed=2)[:, None])
    after = quantized(model, rows).model
    scales = constant_of(after.graph.graph.initializers["w1/scales"])
    assert scales is not None
    sizes = np.abs(scales).mean(axis=0)
    assert sizes[gains == 16].mean() / sizes[gains == 1].mean() < 14
    assert ratio(model, after, held_out) > ratio(model, rounded(model), held_out) + 4


def test_a_gemm_with_transposed_weights_and_a_dynamic_bias() -> None:
    body = "h = Relu(b) y = Gemm<transB=1>(x, w, h)"
    model = graph("float[2,40] x, float[30] b => float[2,30] y", body, weights(w=(30, 40)))
    data = [{"x": np.ones((2, 40), np.float32), "b": np.ones(30, np.float32)}]
    after = quantized(model, data).model
    gemm = node_of(after, "Gemm")
    assert gemm.attributes.get_int("transB", 0) == 0
    (expected,), (got,) = run_model(model, data[0]), run_model(after, data[0])
    assert decibels(expected, got) > 20


def test_pruned_weights_stay_pruned() -> None:
    model = prepared(perceptron(64, 64))
    for name in ("w1", "w2"):
        value = model.graph.graph.initializers[name]
        array = constant_of(value)
        assert array is not None
        blocks = array.reshape(16, 4, 64).copy()
        np.put_along_axis(blocks, np.abs(blocks).argsort(axis=1)[:, :2], 0, axis=1)
        value.const_value = ir.tensor(blocks.reshape(64, 64), name=name)
    after = quantized(model, [correlated(64, 100, seed=1)]).model
    for name in ("w1", "w2"):
        integers = constant_of(after.graph.graph.initializers[f"{name}/int4"])
        assert integers is not None
        assert ((integers.astype(np.int8).reshape(16, 4, 64) != 0).sum(axis=1) <= 2).all()


def test_one_sample_and_dead_inputs_give_finite_scales() -> None:
    model = prepared(perceptron(64, 64))
    row = correlated(64, 1, seed=1)
    row[:, :40] = 0
    after = quantized(model, [row]).model
    for name in ("w1/scales", "w2/scales"):
        scales = constant_of(after.graph.graph.initializers[name])
        assert scales is not None
        assert np.isfinite(scales).all()
        assert (scales != 0).all()


def test_layers_in_float_are_noted() -> None:
    model = prepared(perceptron(64, 64))
    result = quantized(model, [correlated(64, 10, seed=1)], ["second"])
    assert result.layers == ("first",)
    assert "second (Gemm) keeps its 4096 float weights: as asked for" in result.model.notes


def test_the_compile_passes_keep_four_bits(tmp_path: Path) -> None:
    model = prepared(perceptron(50, 40))
    after = quantized(model, [correlated(50, 20, seed=1)]).model
    path = tmp_path / "q.onnx"
    path.write_bytes(after.to_bytes())
    imported, _ = optimize(import_model(str(path)), find_target("host"), prove=True)
    kept = [node for node in imported.graph.graph if node.op_type == "DequantizeLinear"]
    assert [node.inputs[0].dtype for node in kept if node.inputs[0]] == [ir.DataType.INT4] * 2


@pytest.mark.parametrize("kind", [ir.DataType.INT4, ir.DataType.UINT4])
def test_four_bits_of_others_are_imported(kind: ir.DataType, tmp_path: Path) -> None:
    """With zero points, blocks along the last axis and a Transpose, opset 21."""
    text = """g (float[1,40] x) => (float[1,6] y) {
        w = DequantizeLinear<axis=1, block_size=16>(q, s, z) t = Transpose(w) y = MatMul(x, t) }"""
    message = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}')
    generator = np.random.default_rng(0)
    low = -8 if kind == ir.DataType.INT4 else 0
    arrays = {
        "q": generator.integers(low, low + 16, (6, 40)).astype(kind.numpy()),
        "z": generator.integers(low, low + 16, (6, 3)).astype(kind.numpy()),
        "s": generator.uniform(0.01, 1, (6, 3)).astype(np.float32),
    }
    message.graph.initializer.extend(
        ir.to_proto(ir.tensor(array, name=name)) for name, array in arrays.items()
    )
    path = save(message, tmp_path / "w.onnx")
    after, _ = optimize(import_model(str(path)), find_target("host"), prove=True)
    x = generator.standard_normal((1, 40)).astype(np.float32)
    steps, zeros = (np.repeat(arrays[name].astype(np.float32), 16, axis=1)[:, :40] for name in "sz")
    expected = x @ ((arrays["q"].astype(np.float32) - zeros) * steps).T
    np.testing.assert_allclose(run_model(after, {"x": x})[0], expected, rtol=1e-4, atol=1e-4)
    assert any(value.dtype == kind for value in after.graph.graph.initializers.values())


def test_quantize_writes_a_network_that_onnxruntime_runs(tmp_path: Path) -> None:
    path = save(perceptron(64, 64, opset=13), tmp_path / "net.onnx")
    rows = correlated(64, 100, seed=1)
    np.savez(tmp_path / "data.npz", x=rows)
    result = quantize_source(str(path), QuantizeOptions(calibrate=str(tmp_path / "data.npz"), recipe="int4w"))
    assert result.report["layers_quantized"] == ["first", "second"]
    sizes = result.report["bytes_of_constants"]
    assert sizes["quantized"] < 0.2 * sizes["float"]
    assert result.report["outputs"]["y"] > 20
    x = rows[:1]
    sessions = [onnxruntime.InferenceSession(data) for data in (path.read_bytes(), result.model.to_bytes())]
    expected, got = (session.run(None, {"x": x})[0] for session in sessions)
    assert decibels(expected, got) > 15


def nan_weights() -> Model:
    model = prepared(perceptron(64, 64))
    model.graph.graph.initializers["w2"].const_value = ir.tensor(
        np.full((64, 64), np.nan, np.float32), name="w2"
    )
    return model


def infinite_results() -> Model:
    body = "l = Log(x) h = MatMul(l, w) y = Identity(h)"
    return graph("float[1,32] x => float[1,32] y", body, weights(w=(32, 32)))


@pytest.mark.parametrize(
    ("make", "width", "kind", "message"),
    [
        (nan_weights, 64, InputError, "error[EC3352] weights are NaN or infinite at 'second'"),
        (infinite_results, 32, InputError, "error[EC3351] the network computes NaN or infinity"),
        (prepared_cnn, 0, UnsupportedError, "error[EC4351] no weights can be stored in 4 bits"),
    ],
)
def test_what_cannot_be_quantized_is_refused(
    make: Callable[[], Model], width: int, kind: type[EdgeCompileError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        quantized(make(), [np.zeros((1, width), np.float32)])
    assert message in str(caught.value)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="EC3305"):
        quantized(prepared(perceptron(64, 64)), [])


def node_of_layer(model: Model, name: str) -> ir.Node:
    (node,) = (node for node in model.graph.graph if node.name == name)
    return node
