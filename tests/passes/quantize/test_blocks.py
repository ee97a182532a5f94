"""Where networks are cut into blocks, and the copy that blocks are taken from."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import run_model
from edgecompile.passes.quantize.blocks import Block, find_blocks, most_samples, separate
from edgecompile.passes.quantize.calibrate import Calibrated, calibrate
from edgecompile.passes.quantize.recipes import RECIPES
from tests.passes.quantize.networks import constants, graph, noise, prepared_cnn
from tests.support.passes import weights


def calibrated(model: Model) -> Calibrated:
    return calibrate(model, noise(model), RECIPES["int8"])


def blocks(model: Model) -> list[Block]:
    found = calibrated(model)
    return find_blocks(found, separate(found).model)


def operators(block: Block) -> str:
    return " ".join(node.op_type for node in block.nodes)


def test_a_residual_block_is_one_and_ends_before_the_pool() -> None:
    first, dense, softmax = blocks(prepared_cnn())
    assert operators(first) == "Conv Relu Conv Conv Add Relu"
    assert first.contractions == ("stem", "depthwise", "pointwise")
    assert operators(dense).endswith("Gemm")
    assert (operators(softmax), softmax.contractions) == ("Softmax", ())
    assert [value.name for value in dense.inputs] == [value.name for value in first.outputs]
    assert first.name == "stem to pointwise"
    assert dense.name == "classifier"


def test_plain_layers_are_joined_three_by_three() -> None:
    body = "\n".join(f"c{i + 1} = Conv(c{i}, w{i})" for i in range(7)).replace("c0,", "x,")
    model = graph(
        "float[1,2,4,4] x => float[1,2,4,4] c7", body, weights(**{f"w{i}": (2, 2, 1, 1) for i in range(7)})
    )
    assert [len(block.contractions) for block in blocks(model)] == [3, 3, 1]


def test_a_part_without_narrow_places_is_cut_where_results_are_complete() -> None:
    """Two branches of five layers each, side by side, every Conv followed by the Relu that is part of it."""
    lines = []
    for i in range(5):
        for branch in "ab":
            source = f"{branch}{i}" if i else "x"
            lines += [f"t{branch}{i} = Conv({source}, w)", f"{branch}{i + 1} = Relu(t{branch}{i})"]
    model = graph(
        "float[1,2,4,4] x => float[1,2,4,4] y",
        "\n".join([*lines, "y = Add(a5, b5)"]),
        weights(w=(2, 2, 1, 1)),
    )
    found = blocks(model)
    assert [len(block.contractions) for block in found] == [3, 3, 3, 1]
    assert all(operators(block).count("Conv Relu") == len(block.contractions) for block in found)
    assert [len(block.outputs) for block in found] == [2, 2, 2, 1]


def test_every_node_is_in_one_block_and_reads_what_comes_before() -> None:
    found = calibrated(prepared_cnn())
    separated = separate(found).model
    cut = find_blocks(found, separated)
    assert [node for block in cut for node in block.nodes] == list(separated.graph.graph)
    known = {value.name for value in separated.graph.graph.inputs}
    for block in cut:
        assert {value.name for value in block.inputs} <= known
        known |= {value.name for value in block.outputs}


def test_shared_weights_become_the_own_of_each_layer() -> None:
    model = graph(
        "float[1,2,4,4] x => float[1,2,4,4] y",
        "a = Conv(x, w)\n y = Conv(a, w, b)",
        weights(w=(2, 2, 1, 1), b=(2,)),
    )
    found = calibrated(model)
    separated = separate(found)
    names = [*separated.weights.values(), *separated.biases.values()]
    assert len(set(names)) == 4
    first = next(iter(separated.model.graph.graph))
    np.testing.assert_array_equal(constant_of(first.inputs[2]), [0, 0])
    (sample,) = noise(model, 1)
    for before, after in zip(run_model(found.model, sample), run_model(separated.model, sample), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_the_bias_of_a_matrix_product_is_what_is_added() -> None:
    model = graph(
        "float[1,3,4] x => float[1,3,5] y", "a = MatMul(x, w)\n y = Add(a, b)", weights(w=(4, 5), b=(5,))
    )
    separated = separate(calibrated(model))
    product, add = separated.model.graph.graph
    assert separated.biases[str(product.name)] == add.inputs[1].name  # type: ignore[union-attr]


def test_reshapes_take_any_number_of_samples() -> None:
    model = graph(
        "float[1,2,4,4] x => float[1,32] y",
        "a = Conv(x, w)\n y = Reshape(a, s)",
        constants(w=np.ones((2, 2, 1, 1), np.float32), s=np.array([1, 32])),
    )
    *_, reshape = separate(calibrated(model)).model.graph.graph
    np.testing.assert_array_equal(constant_of(reshape.inputs[1]), [-1, 32])


@pytest.mark.parametrize(("nbytes", "count"), [(1, 1), (1 << 20, 113)])
def test_samples_are_as_many_as_fit(nbytes: int, count: int) -> None:
    """The first block reads [1, 3, 12, 12] and writes [1, 8, 6, 6], 720 numbers of 4 bytes, kept twice."""
    found = blocks(prepared_cnn())
    assert most_samples(found, nbytes) == (count if nbytes == 1 else nbytes // (2 * 4 * 720))
