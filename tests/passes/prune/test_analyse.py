"""Which units there are, what belongs to each, and why something cannot be cut."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgecompile.errors import UnsupportedError
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.groups import Group
from tests.passes.prune.cutting import cut_and_prove, some_units
from tests.passes.prune.nets import Net
from tests.passes.prune.traps import TRAPS


def free(name: str) -> list[Group]:
    return [group for group in analyse(TRAPS[name]()).groups if not group.frozen]


def frozen(name: str) -> dict[str, str]:
    return {group.name: group.frozen for group in analyse(TRAPS[name]()).groups if group.frozen}


# Sizes of the groups that can be cut, in the network's order.
SIZES = {
    "residual": [8, 12],
    "padded_shortcut": [8, 16, 8],
    "concat_chunk_grouped_flatten": [8, 4, 4, 20],
    "shuffle_and_squeeze_excite": [4, 3, 6, 4],
    "shuffle_by_gather": [4, 4],
    "many_narrow_groups": [8, 8],
    "depthwise_with_multiplier": [8],
    "one_weight_used_twice": [8],
    "one_weight_read_at_two_scales": [8, 6],
    "gated_by_halves": [8, 8, 6],
    "dense_connections": [8, 4, 4, 4],
    "group_normalization": [4, 6, 4],
    "attention": [16, 4, 24],
    "fused_qkv": [16, 4],
    "fused_qkv_gathered": [16, 4],
    "grouped_query_heads": [16, 2],
    "attention_operator": [16, 2],
    "one_head": [16, 12, 12],
    "one_head_of_keys_for_all_queries": [16, 6],
    "one_head_of_keys_in_the_operator": [16, 6],
    "class_token_and_positions": [16, 24],
    "transformer": [16, 4, 40],
    "lstm_in_both_directions": [16, 8],
    "embedding": [16, 24],
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_groups(name: str) -> None:
    assert [group.size for group in free(name)] == SIZES[name]


def test_kinds_of_units() -> None:
    assert [group.kind for group in free("transformer")] == ["neurons", "heads", "neurons"]
    assert [group.kind for group in free("residual")] == ["channels", "channels"]
    assert [group.kind for group in free("lstm")] == ["neurons", "hidden"]


def test_a_head_owns_its_columns_of_queries_keys_and_values() -> None:
    (_, heads) = free("fused_qkv")
    first, last, bias = heads.members
    roles = [(member.role, member.axis) for member in heads.members]
    assert roles == [("producer", 1), ("consumer", 0), ("carried", 0)]
    assert first.positions[1] == (4, 5, 6, 7, 20, 21, 22, 23, 36, 37, 38, 39)
    assert bias.positions == first.positions
    assert last.positions[1] == (4, 5, 6, 7)


def test_a_head_of_keys_owns_the_queries_that_read_it() -> None:
    (_, heads) = free("grouped_query_heads")
    widths = [(member.role, len(member.positions[0])) for member in heads.members if member.role != "carried"]
    assert widths == [("producer", 12), ("producer", 4), ("producer", 4), ("consumer", 12)]


def test_members_of_a_residual_sum() -> None:
    first, second = free("residual")
    assert first.nodes == ("Conv0", "Conv1", "Conv3", "Gemm8")
    assert [(member.axis, member.role) for member in second.members] == [
        (0, "producer"), (0, "producer"), (1, "consumer"),
    ]  # fmt: skip


def test_depthwise_weights_are_carried() -> None:
    roles = [
        (member.role, member.axis, len(member.positions[0]))
        for member in free("depthwise_with_multiplier")[0].members
    ]
    assert roles[2:4] == [("carried", 0, 2), ("carried", 0, 2)]


def test_what_is_frozen_says_why() -> None:
    assert frozen("residual") == {"Gemm8": "it is output 'Gemm8_0'"}
    reasons = frozen("unknown_operator_beside")
    assert reasons["Conv5"] == "nothing is known about cutting Einsum (node 'Einsum6')"
    assert frozen("spatial_attention")["Conv1"] == "node 'Mul3' needs it for all units of the other operand"


def test_what_is_added_to_an_input_is_frozen() -> None:
    net = Net()
    y = net.op("Add", "x", net.padded(net.padded("x", 3, 8), 8, 3))
    groups = analyse(net.model({"x": [1, 3, 6, 6]}, net.classify(y, 3))).groups
    assert [(group.size, group.frozen) for group in groups][:2] == [(8, ""), (1, "it is tied to input 'x'")]


def test_a_softmax_over_channels_freezes_them() -> None:
    net = Net()
    y = net.op("Softmax", net.padded("x", 3, 8), axis=1)
    groups = analyse(net.model({"x": [1, 3, 6, 6]}, net.classify(y, 8))).groups
    assert groups[0].frozen == "Softmax 'Softmax1' reads across all of it"


def test_a_normalization_of_all_channels_together_freezes_them() -> None:
    """As a GroupNormalization with one group is exported."""
    net = Net()
    y = net.op(
        "InstanceNormalization", net.reshape(net.padded("x", 3, 8), 1, 1, 288), net.weights(1), net.weights(1)
    )
    groups = analyse(net.model({"x": [1, 3, 6, 6]}, net.classify(net.reshape(y, 1, 8, 6, 6), 8))).groups
    assert groups[0].frozen == "InstanceNormalization 'InstanceNormalization2' mixes all of it"


def test_weights_that_are_computed_freeze_what_they_multiply() -> None:
    net = Net()
    weights = net.reshape(net.op("Gemm", net.op("Flatten", "z"), net.weights(4, 64)), 8, 8, 1, 1)
    y = net.op("Conv", net.op("Conv", "x", net.weights(8, 3, 1, 1)), weights)
    model = net.model({"x": [1, 3, 6, 6], "z": [1, 4]}, net.classify(y, 8))
    assert "the weights of 'Conv4' are computed" in {group.frozen for group in analyse(model).groups}


def test_vectors_that_happen_to_be_equal_do_not_couple_layers() -> None:
    net = Net()
    zeros = [net.const(np.zeros(8)) for _ in range(2)]
    y = net.op("Relu", net.op("Conv", "x", net.weights(8, 3, 1, 1), zeros[0]))
    y = net.op("Relu", net.op("Conv", y, net.weights(8, 8, 1, 1), zeros[1]))
    groups = analyse(net.model({"x": [1, 3, 6, 6]}, net.classify(y, 8))).groups
    assert [group.size for group in groups if not group.frozen] == [8, 8]


def test_a_subgraph_freezes_what_it_reads() -> None:
    net = Net()
    y = net.padded("x", 3, 8)

    def branch(name: str, op_type: str) -> onnx.GraphProto:
        node = helper.make_node(op_type, [y], [name])
        return helper.make_graph(
            [node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, 6, 6])]
        )

    z = net.op("If", "c", then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg"))
    model = net.model(
        {"x": [1, 3, 6, 6], "c": [1]}, net.classify(net.conv(z, 8, 6), 6), types={"c": TensorProto.BOOL}
    )
    sizes = {group.name: (group.size, group.frozen) for group in analyse(model).groups}
    assert sizes["Conv0"] == (8, "nothing is known about cutting If (node 'If1')")
    assert sizes["Conv2"] == (6, "")
    dependencies = analyse(model)
    _, proof = cut_and_prove(model, dependencies, some_units(dependencies, 0.5))
    assert proof.exact
    assert proof.holds


def test_heads_of_inputs_stay() -> None:
    net = Net()
    y = net.op("Attention", "x", "x", "x", q_num_heads=2, kv_num_heads=2)
    model = net.model({"x": [1, 6, 8]}, net.linear(net.linear(y, 8, 6), 6, 5))
    assert [group.size for group in analyse(model).groups if not group.frozen] == [6]


def test_heads_that_meet_heads_of_an_input_stay() -> None:
    net = Net()
    y = net.op("MatMul", "x", net.padded("x", 3, 3))
    groups = analyse(net.model({"x": [1, 3, 6, 6]}, net.classify(net.padded(y, 3, 8), 8))).groups
    reasons = {group.name: group.frozen for group in groups}
    assert reasons["Conv0"] == "nothing is known about cutting MatMul (node 'MatMul1')"
    assert reasons["Conv2"] == ""


def test_a_normalization_with_a_computed_scale_is_inexact() -> None:
    net = Net()
    x = net.linear("x", 10, 16)
    scale = net.op("Squeeze", net.linear("z", 4, 16), net.const(np.array([0])))
    y = net.linear(net.op("RMSNormalization", x, scale, axis=-1), 16, 5)
    (group, *_) = analyse(net.model({"x": [1, 6, 10], "z": [1, 4]}, y)).groups
    assert (group.size, group.frozen) == (16, "")
    assert "takes its mean" in group.inexact


def test_quantized_networks_are_refused() -> None:
    net = Net()
    scale, zero = net.const(0.1), net.const(np.array(0, np.int8))
    y = net.op("DequantizeLinear", net.op("QuantizeLinear", net.padded("x", 3, 8), scale, zero), scale, zero)
    model = net.model({"x": [1, 3, 6, 6]}, net.classify(y, 8))
    with pytest.raises(
        UnsupportedError, match=r"EC4530.*quantized network.*is QuantizeLinear.*prune the float network"
    ):
        analyse(model)
