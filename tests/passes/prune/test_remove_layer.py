"""Layers and residual blocks go, and what they were fed takes their place."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import UnsupportedError
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import prove_in_onnxruntime
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.assign import assign
from edgecompile.passes.prune.remove_layer import remove_layer, residual_blocks
from tests.passes.prune.cutting import check_shapes, cut_and_prove, some_units
from tests.passes.prune.nets import Net
from tests.passes.prune.traps import TRAPS


def _silent(model: Model, name: str) -> Model:
    """`model` with the weights and the bias of the node `name` 0."""
    copy = model.copy()
    (node,) = (node for node in copy.graph.graph if node.name == name)
    for value in node.inputs:
        array = constant_of(value)
        if value is not None and array is not None:
            assign(value, np.zeros_like(array))
    return copy


def test_a_residual_block_goes_with_its_branch() -> None:
    model = TRAPS["residual"]()
    (block,) = residual_blocks(model)
    assert block.name == "Add4"
    assert block.nodes == ("Conv1", "Relu2", "Conv3", "Add4")
    smaller = remove_layer(model, block.name)
    assert [node.name for node in smaller.graph.graph] == [
        "Conv0",
        "Relu5",
        "GlobalAveragePool6",
        "Flatten7",
        "Gemm8",
    ]
    assert prove_in_onnxruntime(_silent(model, "Conv3"), smaller) == 0.0
    assert "layer 'Add4' removed" in smaller.notes


def test_a_network_without_a_block_can_be_cut() -> None:
    model = TRAPS["transformer"]()
    for block in residual_blocks(model):
        smaller = remove_layer(model, block.name)
        check_shapes(smaller)
        dependencies = analyse(smaller)
        cut_and_prove(smaller, dependencies, some_units(dependencies, 0.5))


def test_blocks_with_a_projection_are_none() -> None:
    assert residual_blocks(TRAPS["padded_shortcut"]()) == ()


def test_a_branch_that_is_needed_elsewhere_stays() -> None:
    net = Net()
    branch = net.op("Relu", net.padded("x", 3, 3))
    total = net.op("Add", net.op("Tanh", branch), "x")
    model = net.model({"x": [1, 3, 6, 6]}, total, branch)
    (block,) = residual_blocks(model)
    assert block.nodes == ("Tanh2", "Add3")
    smaller = remove_layer(model, "Add3")
    check_shapes(smaller)
    assert [value.name for value in smaller.graph.graph.outputs] == ["Add3_0", "Relu1_0"]


def test_a_layer_of_one_operand_is_passed_by() -> None:
    net = Net()
    model = net.model({"x": [1, 3, 6, 6]}, net.classify(net.op("Relu", net.padded("x", 3, 3)), 3))
    assert [node.op_type for node in remove_layer(model, "Relu1").graph.graph][:2] == [
        "Conv",
        "GlobalAveragePool",
    ]
    assert [node.op_type for node in remove_layer(model, "Conv0").graph.graph][:2] == [
        "Relu",
        "GlobalAveragePool",
    ]
    assert len(list(model.graph.graph)) == 5


def test_what_cannot_go_says_why() -> None:
    model = TRAPS["residual"]()
    with pytest.raises(UnsupportedError, match=r"EC4531.*no layer of that name at 'Cnov1'.*'Conv1'"):
        remove_layer(model, "Cnov1")
    message = (
        r"EC4532.*cannot be removed at 'Conv1'.*it makes 'Conv1_0' float32\[1, 12, 12, 12\] "
        r"of 'Conv0_0' float32\[1, 8, 12, 12\]"
    )
    with pytest.raises(UnsupportedError, match=message):
        remove_layer(model, "Conv1")
