"""Damaged and malicious model files: one clean error each, of the right class, whatever they hold.

Every file goes through the public entry: import in a guarded child process, then canonicalisation.
"""

# ruff: noqa: E501  (a file and what is said about it read best in one line)

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from edgecompile.core.pipeline import Pipeline
from edgecompile.errors import EdgeCompileError, InputError, UnsupportedError
from edgecompile.frontend.load import import_through
from edgecompile.frontend.onnx import load_onnx
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.canonicalize import canonicalize_passes
from tests.support.graphs import message

GOOD = "g (float[2,4] x) => (float[2,4] y) <float[4] w = {1, 2, 3, 4}> { a = Add (x, w) b = Relu (a) y = Neg (b) }"


def good() -> onnx.ModelProto:
    return message(GOOD)


def edited(edit: Callable[[onnx.ModelProto], object], text: str = GOOD) -> bytes:
    proto = message(text)
    edit(proto)
    return encoded(proto)


def encoded(proto: onnx.ModelProto) -> bytes:
    data: bytes = proto.SerializeToString()
    return data


def cyclic(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].input[0] = "b"


def giant_dims(proto: onnx.ModelProto) -> None:
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend([2**30, 2**30])


def nan_weights(proto: onnx.ModelProto) -> None:
    for name in ("w", "v"):
        tensor = numpy_helper.from_array(np.array([1, np.nan, 3, np.nan], np.float32), name)
        if name == "w":
            proto.graph.initializer[0].CopyFrom(tensor)
        else:
            proto.graph.initializer.append(tensor)


def truncated_weights(proto: onnx.ModelProto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.raw_data = bytes(7)


def unknown_operators(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].op_type = "Frobnicate"
    proto.graph.node[0].name = "first"
    proto.graph.node[1].op_type = "Frobnicate"
    proto.graph.node[1].name = "second"
    proto.graph.node[2].domain = "com.acme"
    proto.graph.node[2].name = "third"


def newer_operator(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 13
    proto.graph.node[1].op_type = "Gelu"


def deep(levels: int) -> Callable[[onnx.ModelProto], None]:
    def nest(proto: onnx.ModelProto) -> None:
        out = [helper.make_tensor_value_info("o", TensorProto.FLOAT, [2, 4])]
        leaf = helper.make_graph([helper.make_node("Identity", ["x"], ["o"])], "leaf", [], out)
        body = leaf
        for _ in range(levels):
            node = helper.make_node("If", ["c"], ["o"], then_branch=body, else_branch=leaf)
            body = helper.make_graph([node], "level", [], out)
        proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
        proto.graph.node[0].CopyFrom(helper.make_node("If", ["c"], ["a"], then_branch=body, else_branch=leaf))

    return nest


def nested_5000_deep() -> bytes:
    """Far deeper than protobuf's own recursion limit, and small; no message object can hold it."""
    graph = b""
    for _ in range(5000):
        attribute = AttributeProto(name="body", type=AttributeProto.GRAPH).SerializeToString()
        attribute += _field(6, graph)  # AttributeProto.g
        graph = _field(1, _field(5, attribute))  # GraphProto.node, NodeProto.attribute
    return encoded(good()) + _field(7, graph)  # ModelProto.graph


def _field(number: int, data: bytes) -> bytes:
    """One length-delimited field on the wire (protobuf encoding)."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def function_bomb(proto: onnx.ModelProto) -> None:
    """Each function calls the next twice: 2^30 nodes from 30 functions."""
    for level in range(30):
        inner = "Relu" if level == 29 else f"f{level + 1}"
        domain = "" if level == 29 else "local"
        nodes = [
            helper.make_node(inner, ["a"], ["m"], domain=domain),
            helper.make_node(inner, ["m"], ["b"], domain=domain),
        ]
        imports = [helper.make_opsetid("", 24), helper.make_opsetid("local", 1)]
        proto.functions.append(helper.make_function("local", f"f{level}", ["a"], ["b"], nodes, imports))
    proto.graph.node[1].CopyFrom(helper.make_node("f0", ["a"], ["b"], domain="local"))


def wide_function_bomb(proto: onnx.ModelProto) -> None:
    """Each of eight functions calls the next 16 times: 2^32 nodes within the nesting limit."""
    imports = [helper.make_opsetid("", 24), helper.make_opsetid("local", 1)]
    for level in range(8):
        inner, domain = ("Relu", "") if level == 7 else (f"f{level + 1}", "local")
        nodes = [helper.make_node(inner, [f"t{k}"], [f"t{k + 1}"], domain=domain) for k in range(16)]
        proto.functions.append(helper.make_function("local", f"f{level}", ["t0"], ["t16"], nodes, imports))
    proto.graph.node[1].CopyFrom(helper.make_node("f0", ["a"], ["b"], domain="local"))


def recursive_function(proto: onnx.ModelProto) -> None:
    nodes = [helper.make_node("f", ["a"], ["b"], domain="local")]
    imports = [helper.make_opsetid("local", 1)]
    proto.functions.append(helper.make_function("local", "f", ["a"], ["b"], nodes, imports))
    proto.graph.node[1].CopyFrom(helper.make_node("f", ["a"], ["b"], domain="local"))


FOUR_TERABYTES = """g (float[1,1] x) => (float[1048576,1048576] y) {
    s = Constant <value = int64[2] {1048576, 1048576}> () b = ConstantOfShape (s) y = Add (x, b) }"""
HUGE_RANGE = """g (float[1] x) => (float[N] y) {
    a = Constant <value = float {0}> () e = Constant <value = float {1e15}> () d = Constant <value = float {1}> ()
    r = Range (a, e, d) y = Add (x, r) }"""
HUGE_TILE = """g (float[1] x) => (float[N] y) {
    a = Constant <value = float[2] {1, 2}> () n = Constant <value = int64[1] {1000000000000}> ()
    t = Tile (a, n) y = Add (x, t) }"""
ENDLESS_LOOP = """g (float[1] x) => (float[1] y) {
    n = Constant <value = int64 {9223372036854775807}> () c = Constant <value = bool {1}> ()
    z = Constant <value = float[1] {0}> ()
    r = Loop (n, c, z) <body = step (int64 i, bool go, float[1] s) => (bool more, float[1] t) {
        more = Identity (go) t = Add (s, s) }>
    y = Add (x, r) }"""

# name -> (bytes of the file, exit code, what the message says)
FILES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 3, r"^error\[EC3102\] '.*bad.onnx' is empty: it has 0 bytes\. Fix: export it again\.$"),
    "truncated": (good().SerializeToString()[:-20], 3, r"EC3105\] '.*bad.onnx' is not an ONNX model: it is truncated or damaged"),
    "text": (b"hello, this is no model at all\n" * 9, 3, r"EC3105\] '.*' is not an ONNX model"),
    "zeros": (bytes(1000), 3, r"EC3105"),
    "zip": (b"PK\x03\x04" + bytes(100), 3, r"EC3103\] '.*' is not an ONNX model: it is a zip archive \(a PyTorch checkpoint\?\)"),
    "tflite": (bytes(4) + b"TFL3" + bytes(100), 3, r"EC3103.*it is a TensorFlow Lite model"),
    "git lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", 3, r"git lfs pull"),
    "no graph": (onnx.ModelProto(ir_version=8, producer_name="x").SerializeToString(), 3, r"EC3105\] '.*' holds no graph"),
    "no outputs": (edited(lambda p: p.graph.ClearField("output")), 3, r"EC3105\] '.*' has no outputs"),
    "no opset": (edited(lambda p: p.ClearField("opset_import")), 3, r"EC3132\] the file does not say its opset"),
    "opset too new": (edited(lambda p: setattr(p.opset_import[0], "version", 99)), 3, r"EC3132\] the file's opset is too new at 'opset_import': opset 99; the newest"),
    "opset too old": (edited(lambda p: setattr(p.opset_import[0], "version", 6)), 4, r"EC4101\] the file's opset is too old at 'opset_import': opset 6 is older than 7"),
    "ir version too new": (edited(lambda p: setattr(p, "ir_version", 1000)), 3, r"EC3131\] the file's IR version is not known at 'ir_version': it says 1000"),
    "name that is no text": (good().SerializeToString().replace(b"Relu", b"Re\xffu"), 3, r"EC3109\] the file holds text that is not UTF-8: b'Re\\xffu' in field 'op_type'"),
    "cycle": (edited(cyclic), 3, r"EC3113\] graph 'g' has a cycle at 'a': 3 nodes wait for their own results: a, b, y"),
    "missing initializer": (edited(lambda p: p.graph.ClearField("initializer")), 3, r"EC3111\] input 1 of Add is 'w', which does not exist at 'a': no input, initializer or node defines it"),
    "dangling input": (edited(lambda p: p.graph.node[1].input.__setitem__(0, "ghost")), 3, r"EC3111\] input 0 of Relu is 'ghost', which does not exist at 'b'"),
    "dangling output": (edited(lambda p: setattr(p.graph.output[0], "name", "ghost")), 3, r"EC3111\] output 'ghost' of graph 'g' does not exist"),
    "name defined twice": (edited(lambda p: p.graph.node[1].output.__setitem__(0, "a")), 3, r"EC3112\] tensor 'a' is defined twice at 'a': 2 nodes, inputs or initializers define it"),
    "node redefines an input": (edited(lambda p: p.graph.node[1].output.__setitem__(0, "x")), 3, r"EC3112\] tensor 'x' is defined twice"),
    "initializer twice": (edited(lambda p: p.graph.initializer.append(p.graph.initializer[0])), 3, r"EC3112\] tensor 'w' is defined twice"),
    "2^60 elements in a weight": (edited(giant_dims), 3, r"EC3121\] initializer 'w' is too large at 'w': 1152921504606846976 elements"),
    "2^60 elements in an input": (edited(lambda p: setattr(p.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 2**58)), 3, r"EC3121\] input 'x' is too large at 'x': 1152921504606846976 elements"),
    "negative dimension": (edited(lambda p: p.graph.initializer[0].dims.__setitem__(0, -4)), 3, r"EC3121\] initializer 'w' has impossible dimensions at 'w': its dimensions are \[-4\]"),
    "rank 100": (edited(lambda p: p.graph.initializer[0].dims.extend([1] * 99)), 3, r"EC3121\] initializer 'w' has impossible dimensions"),
    "weights shorter than their shape": (edited(truncated_weights), 3, r"EC3122\] the data of initializer 'w' is damaged at 'w'"),
    "unknown element type": (edited(lambda p: setattr(p.graph.initializer[0], "data_type", 77)), 3, r"EC3122\] the data of initializer 'w' is damaged"),
    "nan weights": (edited(nan_weights), 3, r"EC3123\] initializer 'w' holds NaN at 'w': 2 of 4 values\. Fix: .*\n.*EC3123\] initializer 'v' holds NaN"),
    "unknown operators": (edited(unknown_operators), 4, r"EC4102\] operator Frobnicate is not known at 'first, second': domain 'ai.onnx' has no such operator\..*\n.*EC4102\] operator com\.acme\.Neg is not known at 'third': the file does not import domain 'com.acme'"),
    "operator of a newer opset": (edited(newer_operator), 4, r"EC4102\] operator Gelu is not known at 'b': it came with opset 20, the file imports opset 13"),
    "unknown attribute": (edited(lambda p: p.graph.node[1].attribute.append(helper.make_attribute("wrong", 1))), 3, r"EC3107\] the model is not valid ONNX at '.*': Unrecognized attribute: wrong for operator Relu"),
    "too many inputs": (edited(lambda p: p.graph.node[1].input.append("w")), 3, r"EC3107\] the model is not valid ONNX"),
    "shapes that do not fit": (edited(lambda p: p.graph.input[0].type.tensor_type.shape.dim.add(dim_value=5)), 3, r"EC3201\] Add does not fit its inputs at 'Add_0'"),
    "subgraphs 20 deep": (edited(deep(20)), 3, r"EC3114\] subgraphs are nested too deeply"),
    "subgraphs 5000 deep": (nested_5000_deep(), 3, r"EC3105\] '.*' is not an ONNX model"),
    "function bomb": (edited(function_bomb), 3, r"EC3116\] function 'f\d+' calls itself or nests too deeply"),
    "wide function bomb": (edited(wide_function_bomb), 3, r"EC3115\] the graph is too large at 'g': \d+ nodes once functions are expanded"),
    "recursive function": (edited(recursive_function), 3, r"EC3116\] function 'f' calls itself"),
    "4 TB of constants": (message(FOUR_TERABYTES).SerializeToString(), 3, r"EC3202\] tensor 'b', result of ConstantOfShape, is too large at 'ConstantOfShape_1': 4398046511104 bytes"),
    "range of 10^15": (message(HUGE_RANGE).SerializeToString(), 3, r"EC3202\] tensor 'r', result of Range, is too large"),
    "tile of 10^12": (message(HUGE_TILE).SerializeToString(), 3, r"EC3202\] tensor 't', result of Tile, is too large"),
}  # fmt: skip


def run(path: Path) -> EdgeCompileError:
    with pytest.raises(EdgeCompileError) as caught:
        import_through(str(path), ImportOptions(), Pipeline(canonicalize_passes(frozenset())))
    return caught.value


@pytest.mark.parametrize(("data", "exit_code", "text"), FILES.values(), ids=FILES)
def test_hostile_file_is_a_clean_error(tmp_path: Path, data: bytes, exit_code: int, text: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    error = run(path)
    assert error.exit_code == exit_code, str(error)
    assert re.search(text, str(error)), str(error)
    assert "Traceback" not in str(error)
    assert all(problem.code.startswith(f"EC{exit_code}") for problem in error.problems)
    assert sorted(tmp_path.iterdir()) == [path]


def test_endless_loop_is_imported_without_running_it(tmp_path: Path) -> None:
    path = tmp_path / "loop.onnx"
    path.write_bytes(message(ENDLESS_LOOP).SerializeToString())
    model, _ = import_through(str(path), ImportOptions(timeout_s=60), Pipeline(canonicalize_passes()))
    assert "Loop" in [node.op_type for node in model.graph.graph]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.integers(0, 40))
def test_flipped_bytes_never_raise_anything_else(tmp_path: Path, position: int, flip: int, cut: int) -> None:
    """In this process, so that an exception of another kind is seen as such."""
    data = bytearray(good().SerializeToString())
    data[position % len(data)] ^= flip
    path = tmp_path / "flipped.onnx"
    path.write_bytes(bytes(data[: len(data) - cut]))
    try:
        Pipeline(canonicalize_passes(frozenset())).run(load_onnx(path))
    except (InputError, UnsupportedError) as error:
        text = str(error)
        assert text.startswith("error[EC")
