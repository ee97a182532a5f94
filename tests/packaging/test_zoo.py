"""A trained keyword network in int8 as a CMake package: what the linker takes is what the report says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.quantize import QuantizeOptions, quantize_source, write_result
from tests.fakes.build import target_or_skip
from tests.packaging.build import cmake, map_sections, write
from tests.packaging.conftest import EXAMPLES
from tests.zoo.zoo import golden, model_path, needs_zoo

pytestmark = [*needs_zoo, pytest.mark.usefixtures("tools")]

_PROJECT = """cmake_minimum_required(VERSION 3.20)
project(user C)
find_package(kws REQUIRED)
add_executable(user main.c)
target_link_libraries(user PRIVATE kws::kws)
target_link_options(user PRIVATE -nostartfiles -Wl,-e,main -Wl,-Map=user.map)
"""
_PROGRAM = """#include "kws.h"
#include <stddef.h>
static _Alignas(KWS_ARENA_ALIGN) unsigned char arena[KWS_ARENA_BYTES];
int main(void) { return kws_run(NULL, NULL, arena, sizeof arena); }
"""


def test_flash_and_ram_to_the_byte(tmp_path: Path) -> None:
    target = target_or_skip("cortex-m4")
    (inputs,) = golden("kws_dscnn").inputs
    np.savez(tmp_path / "samples.npz", in_0=inputs)
    result = quantize_source(str(model_path("kws_dscnn")), QuantizeOptions(str(tmp_path / "samples.npz")))
    write_result(result, tmp_path / "kws.onnx")
    options = CompileOptions(target, io="int8")
    artifact = compile_model(str(tmp_path / "kws.onnx"), options, tmp_path / "kws.edge").artifact
    package = write(artifact, "cmake", tmp_path / "package")
    user = tmp_path / "user"
    user.mkdir()
    (user / "CMakeLists.txt").write_text(_PROJECT)
    (user / "main.c").write_text(_PROGRAM)
    toolchain = EXAMPLES / "firmware-cortex-m" / "board" / "cortex-m4.cmake"
    build = cmake(user, tmp_path / "build", package, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}")
    sections = list(map_sections((build / "user.map").read_text(), "libkws.a"))
    kept = [(name, size) for name, size, is_kept in sections if is_kept]
    stored = sum(size for name, size in kept if name.startswith((".text", ".rodata", ".data")))
    assert stored == artifact.manifest.memory.flash
    assert sum(size for name, size in kept if name.startswith((".data", ".bss"))) == 0
