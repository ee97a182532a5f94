"""Valid files of all ages arrive as one kind of Model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper, numpy_helper

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.errors import InputError, UnsupportedError
from edgecompile.frontend.onnx import load_onnx
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.prove import run_model
from tests.support.graphs import message, operators

RELU = "g (float[2] x) => (float[2] y) { y = Relu (x) }"


def write(folder: Path, model: onnx.ModelProto, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def load(folder: Path, text: str, opset: int = 24) -> Model:
    return load_onnx(write(folder, message(text, opset)))


@pytest.mark.parametrize("opset", range(7, defs.onnx_opset_version() + 1))
def test_every_opset_from_7_to_the_newest(tmp_path: Path, opset: int) -> None:
    imported = load(tmp_path, "g (float[N,3] x) => (float[N,3] y) { r = Relu (x) y = Add (r, x) }", opset)
    assert imported.provenance.opset == opset
    result, _ = Pipeline(canonicalize_passes()).run(imported)
    outputs = run_model(result, {"x": np.array([[1, -2, 3]], np.float32)})
    assert outputs[0].tolist() == [[2, -2, 6]]


def test_provenance(tmp_path: Path) -> None:
    proto = message(RELU)
    proto.producer_name = "maker"
    path = write(tmp_path, proto)
    provenance = load_onnx(path).provenance
    assert provenance.source == "net.onnx"
    assert provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (provenance.opset, provenance.producer) == (24, "maker")


def test_weights_listed_as_inputs(tmp_path: Path) -> None:
    text = "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Add (x, w) }"
    imported = load_onnx(write(tmp_path, message(text, 9, ir_version=3)))
    assert [info.name for info in imported.inputs] == ["x"]


def test_nodes_get_names(tmp_path: Path) -> None:
    proto = message("g (float[2] x) => (float[2] y) { a = Exp (x) b = Neg (a) y = Exp (b) }")
    proto.graph.node[1].name = "keep"
    assert [n.name for n in load_onnx(write(tmp_path, proto)).graph.graph] == ["Exp_0", "keep", "Exp_2"]


def test_documentation_and_metadata_are_dropped(tmp_path: Path) -> None:
    proto = message(RELU)
    proto.graph.node[0].doc_string = "/home/somebody/net.py(12)"
    helper.set_model_props(proto, {"path": "/home/somebody"})
    assert b"somebody" not in load_onnx(write(tmp_path, proto)).to_bytes()


def test_declared_shapes_of_inner_tensors_are_not_trusted(tmp_path: Path) -> None:
    proto = message("g (float[2] x) => (float[99] y) { a = Exp (x) y = Neg (a) }")
    proto.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [77]))
    result, _ = Pipeline(canonicalize_passes()).run(load_onnx(write(tmp_path, proto)))
    assert [info.shape for info in result.outputs] == [(2,)]
    assert all(list(node.outputs[0].shape or []) == [2] for node in result.graph.graph)


def test_nodes_out_of_order_are_sorted_with_a_note(tmp_path: Path) -> None:
    proto = message("g (float[2] x) => (float[2] y) { a = Exp (x) b = Neg (a) y = Relu (b) }")
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(reversed(nodes))
    imported = load_onnx(write(tmp_path, proto))
    assert operators(imported) == ["Exp", "Neg", "Relu"]
    assert imported.notes == ("the nodes of graph 'g' were not in topological order; sorted",)


def test_branch_that_returns_a_tensor_from_outside(tmp_path: Path) -> None:
    branch = helper.make_graph([], "outer", [], [helper.make_tensor_value_info("r", 1, [2])])
    other = helper.make_graph(
        [helper.make_node("Exp", ["r"], ["e"])], "own", [], [helper.make_tensor_value_info("e", 1, [2])]
    )
    proto = message("g (float[2] x, bool c) => (float[2] y) { r = Relu (x) y = Neg (r) }")
    proto.graph.node[1].CopyFrom(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other))
    result, _ = Pipeline(canonicalize_passes()).run(load_onnx(write(tmp_path, proto)))
    outputs = run_model(result, {"x": np.array([1, -1], np.float32), "c": np.array(True)})
    assert outputs[0].tolist() == [1, 0]


def test_outputs_that_are_inputs_or_repeated_become_their_own(tmp_path: Path) -> None:
    proto = message("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    proto.graph.output.append(helper.make_tensor_value_info("x", 1, [2]))
    imported = load_onnx(write(tmp_path, proto))
    assert all(value.producer() is not None for value in imported.graph.graph.outputs)
    assert len(imported.graph.graph.outputs) == 2


def test_standard_domain_under_its_long_name(tmp_path: Path) -> None:
    proto = message(RELU)
    proto.graph.node[0].domain = proto.opset_import[0].domain = "ai.onnx"
    assert load_onnx(write(tmp_path, proto)).graph.graph.node(0).domain == ""


def test_infinities_are_noted(tmp_path: Path) -> None:
    proto = message("g (float[2] x) => (float[2] y) <float[2] w = {0, 0}> { y = Add (x, w) }")
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([0, -np.inf], np.float32), "w"))
    assert load_onnx(write(tmp_path, proto)).notes == ("initializer 'w' holds infinities",)


def with_external_weights(folder: Path) -> Path:
    proto = message("g (float[4] x) => (float[4] y) <float[4] w = {1, 2, 3, 4}> { y = Add (x, w) }")
    array = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    proto.graph.initializer[0].CopyFrom(array)
    path = folder / "net.onnx"
    onnx.save_model(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def test_external_weights_are_read_and_hashed(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    first = load_onnx(path)
    assert run_model(first, {"x": np.zeros(4, np.float32)})[0].tolist() == [0, 1, 2, 3]
    data = bytearray((tmp_path / "w.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "w.bin").write_bytes(data)
    assert load_onnx(path).provenance.sha256 != first.provenance.sha256


def test_missing_external_weights_are_named(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(
        InputError, match=r"EC3106\] the external data of '.*net.onnx' cannot be read: .*w\.bin"
    ):
        load_onnx(path)


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname"])
def test_external_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (tmp_path / "in").mkdir()
    proto = onnx.load(with_external_weights(tmp_path / "in"), load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        entry.value = location if entry.key == "location" else entry.value
    with pytest.raises(InputError, match="EC3106"):
        load_onnx(write(tmp_path / "in", proto))


def test_external_weights_behind_a_link_are_refused(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    (tmp_path / "w.bin").rename(tmp_path / "secret")
    (tmp_path / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="EC3106"):
        load_onnx(path)


def test_external_weights_shorter_than_they_say(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    (tmp_path / "w.bin").write_bytes(bytes(7))
    with pytest.raises(InputError, match=r"EC31(06|22)"):
        load_onnx(path)


def test_sparse_constants_are_refused_by_name(tmp_path: Path) -> None:
    proto = message(RELU)
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse_w")
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    with pytest.raises(UnsupportedError, match=r"EC4103\] sparse constants are not supported at 'sparse_w'"):
        load_onnx(write(tmp_path, proto))


def test_options_bind_inputs(tmp_path: Path) -> None:
    text = "g (float[N,T] x, int64[2] s) => (float[A,B] y) { y = Reshape (x, s) }"
    options = ImportOptions({"x": (2, 6)}, {"s": np.array([3, 4])})
    imported = load_onnx(write(tmp_path, message(text)), options)
    result, _ = Pipeline(canonicalize_passes()).run(imported)
    assert [info.name for info in result.inputs] == ["x"]
    assert [info.shape for info in result.outputs] == [(3, 4)]
