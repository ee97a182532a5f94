"""What becomes one kernel, and what must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import NodeProto, TensorProto, helper

import edgecompile.lower.ops  # noqa: F401
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import find_target
from edgecompile.lower.fusion import Group, fuse
from edgecompile.lower.registry import Kind
from tests.support.execute import execute

SHAPE = [1, 4, 6, 6]


def _graph(
    nodes: list[NodeProto], outputs: list[str], inputs: dict[str, list[int]] | None = None
) -> ir.Model:
    """Float tensors; every inner shape is SHAPE unless it is an input."""
    given = inputs or {"x": SHAPE}
    describe = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [describe(name, TensorProto.FLOAT, shape) for name, shape in given.items()],
        [describe(name, TensorProto.FLOAT, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    import onnx

    return ir.from_proto(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


def _names(groups: list[Group]) -> list[list[str]]:
    return [[str(node.name) for node in group.nodes] for group in groups]


def _node(op: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, [output], name=output, **attributes)


def _check(model: ir.Model, inputs: list[np.ndarray]) -> None:
    import onnxruntime as ort

    wrapped = Model(model, Provenance("test", "", 21))
    session = ort.InferenceSession(wrapped.to_bytes(), providers=["CPUExecutionProvider"])
    names = [info.name for info in wrapped.inputs]
    expected = session.run(None, dict(zip(names, inputs, strict=True)))
    for got, want in zip(execute(wrapped, inputs), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_a_convolution_takes_its_epilogue() -> None:
    model = _graph(
        [
            _node("Conv", ["x", "w"], "conv"),
            _node("Add", ["conv", "r"], "add"),
            _node("Relu", ["add"], "relu"),
        ],
        ["relu"],
        {"x": SHAPE, "w": [4, 4, 1, 1], "r": SHAPE},
    )
    assert _names(fuse(model.graph)) == [["conv", "add", "relu"]]
    _check(model, [_random(*SHAPE), _random(4, 4, 1, 1), _random(*SHAPE)])


def test_a_diamond_is_one_epilogue() -> None:
    model = _graph(
        [
            _node("Conv", ["x", "w"], "conv"),
            _node("Sigmoid", ["conv"], "gate"),
            _node("Mul", ["conv", "gate"], "silu"),
        ],
        ["silu"],
        {"x": SHAPE, "w": [4, 4, 1, 1]},
    )
    assert _names(fuse(model.graph)) == [["conv", "gate", "silu"]]
    _check(model, [_random(*SHAPE), _random(4, 4, 1, 1)])


def test_a_value_that_is_an_output_ends_its_kernel() -> None:
    model = _graph([_node("Sigmoid", ["x"], "a"), _node("Relu", ["a"], "b")], ["a", "b"])
    assert _names(fuse(model.graph)) == [["a"], ["b"]]


def test_a_value_read_by_two_heavy_nodes_ends_its_kernel() -> None:
    model = _graph(
        [_node("Relu", ["x"], "a"), _node("Conv", ["a", "w"], "b"), _node("Conv", ["a", "w"], "c")],
        ["b", "c"],
        {"x": SHAPE, "w": [4, 4, 1, 1]},
    )
    assert _names(fuse(model.graph)) == [["a"], ["b"], ["c"]]


def test_broadcasting_to_a_larger_shape_is_not_an_epilogue() -> None:
    model = _graph(
        [_node("Sigmoid", ["s"], "gate"), _node("Mul", ["x", "gate"], "y")],
        ["y"],
        {"x": SHAPE, "s": [1, 4, 1, 1]},
    )
    assert _names(fuse(model.graph)) == [["gate"], ["y"]]
    _check(model, [_random(*SHAPE), _random(1, 4, 1, 1)])


def test_kernels_run_after_everything_they_read() -> None:
    """The residual is computed after the convolution begins but before the sum: the kernel waits for it."""
    model = _graph(
        [
            _node("Conv", ["x", "w"], "main"),
            _node("Conv", ["x", "v"], "branch"),
            _node("Sigmoid", ["branch"], "gate"),
            _node("Add", ["main", "gate"], "sum"),
        ],
        ["sum"],
        {"x": SHAPE, "w": [4, 4, 1, 1], "v": [4, 4, 1, 1]},
    )
    groups = fuse(model.graph)
    assert _names(groups) == [["branch", "gate"], ["main", "sum"]]
    assert groups[1].kind is Kind.ANCHOR
    _check(model, [_random(*SHAPE), _random(4, 4, 1, 1), _random(4, 4, 1, 1)])


def test_nodes_that_nobody_reads_end_a_kernel() -> None:
    model = _graph([_node("Relu", ["x"], "a"), _node("Abs", ["a"], "b"), _node("Neg", ["a"], "c")], ["a"])
    groups = fuse(model.graph, find_target("host").isa)
    assert sorted(str(node.name) for group in groups for node in group.nodes) == ["a", "b", "c"]
