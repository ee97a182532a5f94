"""Vela in a process of its own: what it rejects, and what happens when it crashes or is not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from edgecompile.backends.ethos_u import vela
from edgecompile.backends.ethos_u.backend import configuration
from edgecompile.backends.ethos_u.vela import compile_network, rejections
from edgecompile.core.target import find_target
from edgecompile.errors import InternalError, MissingToolError, UnsupportedError
from tests.support.ethos_u import needs_vela
from tests.support.tflite_files import TFLiteFile

NPU = configuration(find_target("ethos-u55-128"))


def file_of(kind: str, result: tuple[int, ...], options: str, **fields: int) -> bytes:
    """A file with one operator between int8 tensors of the same scale."""
    file = TFLiteFile()
    file.tensor("image", (1, 8, 8, 16), "INT8", 0.5, 0)
    file.tensor("layer/result", result, "INT8", 0.5, 0)
    file.op(kind, ["image"], ["layer/result"], options, **fields)
    return file.build(["image"], ["layer/result"])


POOL = file_of(
    "MAX_POOL_2D", (1, 4, 4, 16), "Pool2DOptions", StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2
)


@needs_vela
def test_a_network_becomes_a_command_stream() -> None:
    compiled = compile_network(POOL, NPU, "Raw", "pool", separate=True)
    stream = compiled.stream
    assert stream is not None
    assert stream.commands.startswith(b"COP1")
    assert [(border.region, border.bytes) for border in (*stream.inputs, *stream.outputs)] == [
        (3, 1024),
        (4, 256),
    ]
    assert compiled.estimates["npu_operators"] == 1
    assert compiled.estimates["cpu_operators"] == 0
    assert compiled.estimates["npu_cycles"] > 0
    assert compiled.estimates["memories"]["sram"]["read_bytes"] > 0


@needs_vela
def test_a_network_becomes_a_file_with_one_operator() -> None:
    compiled = compile_network(POOL, NPU, "TFLite", "pool")
    assert compiled.stream is None
    assert compiled.file[4:8] == b"TFL3"
    assert b"ethos-u" in compiled.file
    assert b"COP1" in compiled.file


@needs_vela
def test_an_operator_that_is_rejected_is_named_and_the_file_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = file_of("DEPTH_TO_SPACE", (1, 16, 16, 4), "DepthToSpaceOptions", BlockSize=2)
    message = r"EC4541\] Vela does not compile DEPTH_TO_SPACE .* at 'layer/result'.*rejects is in .*/edge"
    with pytest.raises(UnsupportedError, match=message) as caught:
        compile_network(data, NPU, "Raw", "depth")
    assert caught.value.exit_code == 4
    (kept,) = tmp_path.glob("edgecompile-depth-*.tflite")
    assert kept.read_bytes() == data


def test_a_rejection_without_an_operator_keeps_its_reason() -> None:
    (problem,) = rejections("", "Scheduling failed\nmore")
    assert (problem.code, problem.why) == ("EC4541", "Scheduling failed")


@needs_vela
def test_after_a_crash_the_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(
        InternalError, match=r"EC1540\] Vela crashed at 'junk'.*SIGSEGV.*junk-\w+\.tflite"
    ) as caught:
        compile_network(b"no file at all", NPU, "Raw", "junk")
    (kept,) = tmp_path.glob("edgecompile-junk-*.tflite")
    assert kept.read_bytes() == b"no file at all"
    assert caught.value.exit_code == 1


def test_without_vela_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vela, "find_spec", lambda name: None)
    with pytest.raises(
        MissingToolError, match=r'EC5540.*Fix: pip install "edgecompile\[ethos-u\]"'
    ) as caught:
        compile_network(POOL, NPU, "Raw", "pool")
    assert caught.value.exit_code == 5
