"""CMake packages, built by CMake: for this machine and for a Cortex-M4, as library and as sources."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from edgecompile.packaging.options import PackageOptions
from tests.packaging.build import cmake, map_sections, run, write
from tests.packaging.conftest import EXAMPLES, Compile

pytestmark = pytest.mark.usefixtures("tools")

PROJECT = """cmake_minimum_required(VERSION 3.20)
project(user C)
find_package(keywords 1.0 REQUIRED)
keywords_add_selftest(selftest)
"""
WARNINGS = "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror"
FIRMWARE = EXAMPLES / "firmware-cortex-m"
M4 = f"-DCMAKE_TOOLCHAIN_FILE={FIRMWARE / 'board' / 'cortex-m4.cmake'}"


def user_project(folder: Path, text: str = PROJECT) -> Path:
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(text)
    return folder


def test_the_self_test_passes_on_this_machine(keywords: Compile, tmp_path: Path) -> None:
    package = write(keywords("host", "lib"), "cmake", tmp_path / "package")
    programs = cmake(user_project(tmp_path / "user"), tmp_path / "build", package, WARNINGS)
    assert run(programs / "selftest") == "keywords: 3 of 3 samples right\n"


def test_the_self_test_finds_a_wrong_network(keywords: Compile, tmp_path: Path) -> None:
    package = write(keywords("host", "lib"), "cmake", tmp_path / "package")
    golden = package / "selftest" / "keywords_golden.c"
    head, _, outputs = golden.read_text().partition("keywords_golden_out_0[] = {\n  ")
    first, _, rest = outputs.partition(",")
    second, third, fourth, rest = rest.split(",", 3)
    # The fourth byte of a float holds its sign and most of its exponent.
    changed = f"{first},{second},{third},{int(fourth) ^ 0x80},{rest}"
    golden.write_text(f"{head}keywords_golden_out_0[] = {{\n  {changed}")
    programs = cmake(user_project(tmp_path / "user"), tmp_path / "build", package)
    done = subprocess.run([programs / "selftest"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == "keywords: sample 0 is wrong: 1\nkeywords: 2 of 3 samples right\n"


@pytest.mark.parametrize("emit", ["lib", "c"])
def test_flash_and_ram_of_the_link_map_are_those_of_the_report(
    emit: Literal["lib", "c"], keywords: Compile, recording: Path, tmp_path: Path
) -> None:
    artifact = keywords("cortex-m4", emit)
    package = write(artifact, "cmake", tmp_path / "package")
    options = (M4, f"-DRECORDING={recording}")
    text = (cmake(FIRMWARE, tmp_path / "build", package, *options) / "firmware.map").read_text()
    stored = [
        s for s in map_sections(text, "libkeywords.a") if s[0].startswith((".text", ".rodata", ".data"))
    ]
    memory = artifact.manifest.memory
    assert sum(size for _, size, _ in stored) == memory.flash
    assert sum(size for name, size, _ in stored if name == ".rodata.keywords_weights") == memory.weights
    # What the firmware does not call is not in it: the functions that describe inputs and outputs.
    assert {name for name, size, is_kept in stored if size and not is_kept} >= {".text.keywords_input_info"}
    written = [s for s in map_sections(text, "libkeywords.a") if s[0].startswith((".data", ".bss"))]
    assert sum(size for _, size, _ in written) == 0
    arena = re.search(r"^ \.bss\.arena\n?\s+0x[0-9a-f]+\s+0x([0-9a-f]+)", text, re.MULTILINE)
    assert arena is not None
    assert int(arena.group(1), 16) == memory.arena


def test_a_library_of_another_width_and_a_newer_version_are_not_found(
    keywords: Compile, tmp_path: Path
) -> None:
    package = write(keywords("cortex-m4", "lib"), "cmake", tmp_path / "package")
    user = user_project(tmp_path / "user")
    command = ["cmake", "-S", user, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={package}"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "version: 1.0.0 (cortex-m4)" in done.stderr
    newer = user_project(tmp_path / "newer", PROJECT.replace("1.0", "1.1"))
    host = write(keywords("host", "lib"), "cmake", tmp_path / "host")
    command = ["cmake", "-S", newer, "-B", tmp_path / "build2", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={host}"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert "version: 1.0.0" in done.stderr


def test_weights_from_a_file(keywords: Compile, tmp_path: Path) -> None:
    artifact = keywords("host", "lib")
    package = write(artifact, "cmake", tmp_path / "package", PackageOptions(weights="file"))
    image = package / "weights" / "keywords_weights.bin"
    assert image.stat().st_size == 64 + artifact.manifest.memory.weights
    program = cmake(user_project(tmp_path / "user"), tmp_path / "build", package, WARNINGS) / "selftest"
    assert run(program, image) == "keywords: 3 of 3 samples right\n"
    damaged = bytearray(image.read_bytes())
    for place in (0, 5, 9, 13, 64, len(damaged) - 1):
        wrong = bytes(damaged[:place]) + bytes([damaged[place] ^ 1]) + bytes(damaged[place + 1 :])
        (tmp_path / "wrong.bin").write_bytes(wrong)
        done = subprocess.run([program, tmp_path / "wrong.bin"], capture_output=True, text=True, check=False)
        assert done.stdout == "keywords: these are not the weights of this build\n", place
        assert done.returncode == 2
    (tmp_path / "wrong.bin").write_bytes(damaged[:-1])
    assert subprocess.run([program, tmp_path / "wrong.bin"], capture_output=True, check=False).returncode == 2


def test_weights_are_the_same_from_a_library_and_from_sources(keywords: Compile, tmp_path: Path) -> None:
    options = PackageOptions(weights="partition")
    library = write(keywords("cortex-m4", "lib"), "cmake", tmp_path / "lib", options)
    sources = write(keywords("cortex-m4", "c"), "cmake", tmp_path / "c", options)
    images = [(folder / "weights" / "keywords_weights.bin").read_bytes() for folder in (library, sources)]
    assert images[0] == images[1]
    assert not (sources / "src" / "keywords_weights.c").exists()
    assert (
        "keywords_weights.c"
        not in (sources / "lib" / "cmake" / "keywords" / "keywordsConfig.cmake").read_text()
    )


def test_whoever_needs_the_weights_inside_is_told_by_the_linker(keywords: Compile, tmp_path: Path) -> None:
    package = write(
        keywords("host", "lib"), "cmake", tmp_path / "package", PackageOptions(weights="partition")
    )
    text = "cmake_minimum_required(VERSION 3.20)\nproject(user C)\nfind_package(keywords REQUIRED)\n"
    text += "add_executable(user main.c)\ntarget_link_libraries(user PRIVATE keywords::keywords)\n"
    user = user_project(tmp_path / "user", text)
    (user / "main.c").write_text(
        '#include "keywords.h"\nint main(void) { return keywords_run(0, 0, 0, 0); }\n'
    )
    run("cmake", "-S", user, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={package}")
    done = subprocess.run(
        ["cmake", "--build", str(tmp_path / "build")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "keywords_weights" in done.stdout
