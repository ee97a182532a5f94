"""The generated header and entry are clean C99 and C++11, and say what the caller must know."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecompile.core.tensor import TensorInfo
from edgecompile.lower.entry import EntrySources, generate_entry
from edgecompile.lower.identifier import c_identifier
from edgecompile.lower.program import Program, Step
from edgecompile.lower.storage import assign_storage


def _entry(input_name: str = "serving_default/x:0") -> EntrySources:
    values = {
        input_name: TensorInfo(input_name, (1, 3), "float32"),
        "t": TensorInfo("t", (1, 3), "float32"),
        "out": TensorInfo("out", (), "int64"),
        "w": TensorInfo("w", (3,), "float32"),
    }
    steps = (
        Step("net_k0_add", ("layer */ 1",), (input_name, "w"), ("t",), workspace=8),
        Step("net_k1_argmax", ("top",), ("t",), ("out",)),
    )
    weights = {"w": np.ones(3, np.float32)}
    program = Program((values[input_name],), (values["out"],), ("out",), values, {}, weights, steps)
    return generate_entry("net", assign_storage(program, 16), 16)


def _compile(compiler: list[str], path: Path) -> None:
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-c", "-o", "/dev/null"]
    done = subprocess.run([*compiler, *flags, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["x", "serving_default/x:0", "1st input", 'quote"\\*/??/', "日本"])
def test_entry_is_clean_c99_and_header_clean_cpp(tmp_path: Path, name: str) -> None:
    entry = _entry(name)
    (tmp_path / "net.h").write_text(entry.header, encoding="utf-8")
    (tmp_path / "net.hpp").write_text(entry.cpp_header, encoding="utf-8")
    (tmp_path / "net.c").write_text(entry.source, encoding="utf-8")
    (tmp_path / "use.cpp").write_text('#include "net.hpp"\nint main() { static net::Network n; (void)n; }\n')
    _compile(["gcc", "-std=c99"], tmp_path / "net.c")
    _compile(["gcc", "-std=c99", "-DEDGECOMPILE_TRACE"], tmp_path / "net.c")
    _compile(["g++", "-std=c++11"], tmp_path / "use.cpp")


def test_header_states_sizes_alignment_and_licence() -> None:
    header = _entry().header
    assert "#define NET_ARENA_ALIGN 16" in header
    assert "#define NET_INPUT_BYTES {12}" in header
    assert "#define NET_OUTPUT_BYTES {8}" in header
    assert "must not overlap" in header
    assert "This file is yours" in header


def test_workspace_is_the_last_argument() -> None:
    assert "int32_t net_k0_add(float*, float*, float*, uint8_t*);" in _entry().source


@pytest.mark.parametrize(
    ("text", "word"),
    [("Net.v2", "net_v2"), ("1st", "n_1st"), ("while", "n_while"), ("日本", "network"), ("__a__", "a")],
)
def test_c_identifier(text: str, word: str) -> None:
    assert c_identifier(text) == word
