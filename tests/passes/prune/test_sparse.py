"""Zeros in the wanted pattern, the greatest weights kept, and an honest word about what it is good for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.errors import UsageError
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prune.sparse import Blocks, parse_pattern, sparsify
from edgecompile.passes.quantize.sparsity import Pattern, input_axis, sparsity_pattern
from tests.passes.prune.nets import Net
from tests.passes.prune.traps import TRAPS


@pytest.mark.parametrize("name", ["residual", "attention", "concat_chunk_grouped_flatten"])
@pytest.mark.parametrize("text", ["2:4", "4:8", "1:4"])
def test_weights_get_the_pattern_that_the_report_finds(name: str, text: str) -> None:
    model = TRAPS[name]()
    before = model.to_bytes()
    pattern = parse_pattern(text)
    assert isinstance(pattern, Pattern)
    sparse, layers = sparsify(model, pattern)
    nodes = {node.name: node for node in sparse.graph.graph}
    assert layers
    for layer in layers:
        weights = constant_of(nodes[layer.name].inputs[1])
        assert weights is not None
        found = sparsity_pattern(weights, input_axis(nodes[layer.name]))
        assert found is not None
        assert found.kept * pattern.length <= pattern.kept * found.length
        assert layer.zeros == pytest.approx(float((weights == 0).mean()))
    assert any("neither smaller nor faster" in note for note in sparse.notes)
    assert model.to_bytes() == before


def test_layers_that_are_too_narrow_stay() -> None:
    net = Net()
    model = net.model({"x": [1, 3, 6, 6]}, net.padded(net.op("Relu", net.padded("x", 3, 8)), 1, 8, group=8))
    sparse, layers = sparsify(model, Pattern(2, 4))
    assert layers == ()
    assert sparse.notes == model.notes


@given(st.integers(1, 4), st.integers(1, 13), st.integers(0, 99))
def test_of_neighbours_the_greatest_stay(outputs: int, inputs: int, seed: int) -> None:
    net = Net(str(seed))
    model = net.model({"x": [1, inputs]}, net.op("Gemm", "x", net.weights(inputs, outputs)))
    before, after = (
        constant_of(next(iter(m.graph.graph)).inputs[1]) for m in (model, sparsify(model, Pattern(2, 4))[0])
    )
    assert before is not None
    assert after is not None
    for start in range(0, inputs if inputs >= 4 else 0, 4):
        old, new = before[start : start + 4], after[start : start + 4]
        np.testing.assert_array_equal(np.sort(np.abs(new), 0)[-2:], np.sort(np.abs(old), 0)[-2:])
        assert ((new != 0).sum(axis=0) <= 2).all()


def test_the_weakest_blocks_go() -> None:
    net = Net()
    weights = np.arange(1, 65, dtype=np.float32).reshape(8, 8, 1, 1)
    model = net.model({"x": [1, 8, 6, 6]}, net.op("Conv", "x", net.const(weights)))
    sparse, (layer,) = sparsify(model, Blocks(4, 2, 0.5))
    result = constant_of(next(iter(sparse.graph.graph)).inputs[1])
    assert result is not None
    assert layer.zeros == 0.5
    assert (result[:4] == 0).all()
    np.testing.assert_array_equal(result[4:], weights[4:])


def test_patterns_are_read() -> None:
    assert parse_pattern("2:4") == Pattern(2, 4)
    assert parse_pattern("4x1:0.75") == Blocks(4, 1, 0.75)
    for text in ("4:2", "0:4", "2-4", "4x0:0.5", "4x1:1.5", ""):
        with pytest.raises(UsageError, match=r"EC2050.*no pattern.*give N:M such as 2:4"):
            parse_pattern(text)
