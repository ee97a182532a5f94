"""Qualcomm's compiler in a process of its own: what it rejects, and what happens when it is not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import pytest

from edgecompile.backends.qualcomm import compiler
from edgecompile.backends.qualcomm.compiler import (
    compile_network,
    execute_context,
    file_name,
    left_over,
    rejections,
)
from edgecompile.errors import InternalError, MissingToolError, UnsupportedError
from tests.support.integer_networks import NETWORKS, ROWS
from tests.support.qualcomm import needs_qnn, npu, prepared
from tests.support.quantized import one_operator

_LOG = """\
[V:onnxruntime:, provider.cc:1713 LogNodeSupport] Validation FAILED for 2 nodes in OrtNodeUnit (Mod) :
	Operator type: DequantizeLinear Node name: head/read Node index: 1
	Operator type: Mod Node name: head/rest Node index: 2
	REASON : QNN EP does not support Mod

[V:onnxruntime:, provider.cc:1713 LogNodeSupport] Validation PASSED for 1 nodes in OrtNodeUnit (Relu) :
	Operator type: Relu Node name: r Node index: 3

"""


@needs_qnn
def test_a_rejected_operator_is_named() -> None:
    model = prepared(one_operator("Mod", [ROWS, abs(ROWS) + 1], fmod=1))
    with pytest.raises(UnsupportedError, match=r"EC4591\].*does not take Mod at 'Mod\d+'") as caught:
        compile_network(model.to_bytes(), npu(), "mod")
    assert caught.value.exit_code == 4


def test_rejections_are_read_from_the_log() -> None:
    (problem,) = rejections(_LOG + _LOG, "some nodes are assigned to the CPU")
    assert (problem.code, problem.where, problem.why) == (
        "EC4591",
        "head/rest",
        "QNN EP does not support Mod",
    )


def test_a_rejection_without_an_operator_keeps_its_reason() -> None:
    (problem,) = rejections("", "Failed to finalize QNN graph\nmore")
    assert (problem.code, problem.why) == ("EC4591", "Failed to finalize QNN graph")


@needs_qnn
def test_after_a_crash_the_network_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InternalError, match=r"EC1341\].*crashed at 'junk'.*junk-\w+\.onnx") as caught:
        compile_network(b"no network at all", npu(), "junk")
    (kept,) = tmp_path.glob("edgecompile-junk-*.onnx")
    assert kept.read_bytes() == b"no network at all"
    assert caught.value.exit_code == 1


@needs_qnn
def test_a_context_that_does_not_load_is_an_error(tmp_path: Path) -> None:
    (tmp_path / file_name("junk")).write_bytes(b"no context")
    with pytest.raises(InternalError, match=r"EC1342\] the HTP emulator failed at 'junk_htp.onnx'"):
        execute_context(tmp_path, "junk", npu(), [ROWS[None]])


def test_without_the_package_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    with pytest.raises(
        MissingToolError, match=r'EC5580.*glibc 2.35.*Fix: pip install "edgecompile\[qualcomm\]"'
    ) as caught:
        compile_network(prepared(NETWORKS["relu"]()).to_bytes(), npu(), "relu")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (["QuantizeLinear", "EPContext", "DequantizeLinear"], ""),
        (["EPContext"], ""),
        (["EPContext", "Mod", "Mod", "Relu"], "it leaves Mod, Relu to the CPU"),
        (["EPContext", "EPContext"], "it makes 2 parts of it"),
        ([], "it makes 0 parts of it"),
    ],
)
def test_the_cpu_converts_and_computes_nothing(kinds: list[str], reason: str) -> None:
    nodes = [onnx.helper.make_node(kind, ["x"], ["y"]) for kind in kinds]
    graph = onnx.helper.make_graph(nodes, "net", [], [])
    assert left_over(onnx.helper.make_model(graph).SerializeToString()) == reason
