"""Every form of package in the hands of the tool it is for, or of a stand-in where that cannot be had."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from typing import Literal

import kconfiglib
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgecompile.errors import MissingToolError
from edgecompile.packaging import mcuboot
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.sign import signer_from_file
from tests.packaging.build import run, tool_or_skip, write
from tests.packaging.conftest import EXAMPLES, Compile
from tests.packaging.test_sign import keys

pytestmark = pytest.mark.usefixtures("tools")

STUBS = Path(__file__).parent / "stubs"
BOARD = EXAMPLES / "firmware-cortex-m" / "board"
M4 = ("-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
QEMU = ("qemu-system-arm", "-machine", "mps2-an386", "-nographic", "-semihosting", "-kernel")


def run_firmware(program: Path) -> str:
    done = subprocess.run([*QEMU, str(program)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("emit", ["lib", "c"])
def test_zephyr(emit: Literal["lib", "c"], keywords: Compile, tmp_path: Path) -> None:
    module = write(keywords("cortex-m4", emit), "zephyr", tmp_path / "module")
    kconfig = kconfiglib.Kconfig(str(module / "zephyr" / "Kconfig"), warn_to_stderr=False)
    sample = module / "samples" / "keywords_selftest"
    kconfig.load_config(str(sample / "prj.conf"))
    assert kconfig.syms["KEYWORDS"].str_value == "y"
    run(
        "cmake", "-S", sample, "-B", tmp_path / "build", "-G", "Ninja",
        f"-DZephyr_DIR={STUBS / 'zephyr'}", f"-DSTUB_BOARD={BOARD}",
        f"-DCMAKE_TOOLCHAIN_FILE={BOARD / 'cortex-m4.cmake'}",
    )  # fmt: skip
    run("cmake", "--build", tmp_path / "build")
    assert run_firmware(tmp_path / "build" / "app") == "keywords: all samples right\n"


@pytest.mark.parametrize("weights", ["inside", "partition"])
def test_esp_idf(weights: Literal["inside", "partition"], keywords: Compile, tmp_path: Path) -> None:
    component = write(
        keywords("host", "lib"), "esp-idf", tmp_path / "keywords", PackageOptions(weights=weights)
    )
    environment = {"IDF_PATH": str(STUBS / "esp_idf")}
    os.environ |= environment
    try:
        run("cmake", "-S", component / "examples" / "selftest", "-B", tmp_path / "build", "-G", "Ninja")
        run("cmake", "--build", tmp_path / "build")
    finally:
        del os.environ["IDF_PATH"]
    command = [tmp_path / "build" / "keywords_selftest"]
    image = (
        {"PARTITION": str(component / "weights" / "keywords_weights.bin")} if weights == "partition" else {}
    )
    done = subprocess.run(command, env=image, capture_output=True, text=True, check=True)
    assert done.stdout == "keywords: all samples right\n"
    if weights == "partition":
        done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
        assert "no weights of this build" in done.stdout
        row = (component / "partitions.csv").read_text().splitlines()[-1]
        assert row == "keywords, data, 0x40, , 0x10000"


def test_esp_idf_from_sources_names_every_file(keywords: Compile, tmp_path: Path) -> None:
    component = write(keywords("cortex-m4", "c"), "esp-idf", tmp_path / "keywords")
    text = (component / "CMakeLists.txt").read_text()
    sources = {path.name for path in (component / "src").glob("*.c")}
    assert set(re.findall(r'^ +"src/(\S+)"$', text, re.MULTILINE)) == sources


def test_cmsis_pack(keywords: Compile, tmp_path: Path) -> None:
    """Structure here; against PACK.xsd where EDGECOMPILE_PACK_XSD names it and lxml is installed."""
    pack = write(keywords("cortex-m4", "lib"), "cmsis-pack", tmp_path)
    assert pack.name == "edgecompile.keywords.1.0.0.pack"
    with zipfile.ZipFile(pack) as archive:
        names = set(archive.namelist())
        description = archive.read("edgecompile.keywords.pdsc")
    root = ElementTree.fromstring(description)
    assert (root.findtext("vendor"), root.findtext("name")) == ("edgecompile", "keywords")
    assert [item.get("version") for item in root.iter("release")] == ["1.0.0"]
    for file in root.iter("file"):
        name = file.get("name", "")
        assert name in names or any(other.startswith(name) for other in names if name.endswith("/")), name
    conditions = {item.get("id") for item in root.iter("condition")}
    assert {item.get("condition") for item in root.iter("component")} <= conditions
    assert root.find(".//require[@Dcore='Cortex-M4'][@Dfpu='FPU']") is not None
    schema = os.environ.get("EDGECOMPILE_PACK_XSD")
    if schema:
        etree = pytest.importorskip("lxml.etree")
        etree.XMLSchema(etree.parse(schema)).assertValid(etree.fromstring(description))


def test_arduino(keywords: Compile, tmp_path: Path) -> None:
    compiler = tool_or_skip("g++", "apt install g++")
    library = write(keywords("cortex-m4", "lib"), "arduino", tmp_path / "keywords")
    properties = dict(
        line.split("=", 1) for line in (library / "library.properties").read_text().splitlines()
    )
    assert {"name", "version", "author", "maintainer", "sentence", "architectures"} < properties.keys()
    assert (properties["precompiled"], properties["ldflags"]) == ("full", "-lkeywords")
    archive = library / "src" / "cortex-m4" / "fpv4-sp-d16-hard" / "libkeywords.a"
    assert archive.is_file()
    # The sketch, as Arduino compiles it: C++ behind Arduino.h, the C files beside it as C.
    sketch = library / "examples" / "keywords_selftest"
    host = keywords("host", "lib")
    (tmp_path / "sketch.cpp").write_text(
        '#include "Arduino.h"\n' + (sketch / "keywords_selftest.ino").read_text()
    )
    includes = [f"-I{host.path / 'include'}", f"-I{sketch}", f"-I{STUBS / 'arduino'}"]
    objects = [tmp_path / f"{name}.o" for name in ("keywords_selftest", "keywords_golden")]
    for item in objects:
        run("gcc", "-c", *includes, sketch / f"{item.stem}.c", "-o", item)
    program = tmp_path / "sketch"
    run(compiler, "-Wall", *includes, tmp_path / "sketch.cpp", *objects, host.library, "-lm", "-o", program)
    assert run(program) == "keywords: all samples right\n"


def test_platformio(keywords: Compile, tmp_path: Path) -> None:
    """By its own flags, as PlatformIO gives them to the compiler in the library's folder."""
    library = write(
        keywords("host", "lib"), "platformio", tmp_path / "keywords", PackageOptions(license="MIT")
    )
    record = json.loads((library / "library.json").read_text())
    assert {"name", "version", "description", "keywords", "license", "build", "headers"} < record.keys()
    example = record["examples"][0]
    sources = [f"{example['base']}/{file}" for file in example["files"]]
    flags = record["build"]["flags"]
    run(
        "gcc",
        "-std=c11",
        *(f for f in flags if f[:2] == "-I"),
        *sources,
        *flags,
        "-o",
        tmp_path / "p",
        cwd=library,
    )
    assert run(tmp_path / "p") == "keywords: 3 of 3 samples right\n"


def test_android(keywords: Compile, tmp_path: Path) -> None:
    javac = tool_or_skip("javac", "apt install default-jdk-headless")
    aar = write(keywords("host", "lib"), "android", tmp_path / "android")
    aar = next(aar.glob("*.aar")) if aar.is_dir() else aar
    with zipfile.ZipFile(aar) as archive:
        archive.extractall(tmp_path / "aar")
    module = tmp_path / "aar" / "prefab" / "modules" / "keywords"
    assert json.loads((tmp_path / "aar" / "prefab" / "prefab.json").read_text())["schema_version"] == 2
    abi = json.loads((module / "libs" / "android.x86_64" / "abi.json").read_text())
    assert (abi["abi"], abi["stl"], abi["static"]) == ("x86_64", "none", True)
    ElementTree.fromstring((tmp_path / "aar" / "AndroidManifest.xml").read_text())
    source = tmp_path / "android" / "java" / "edgecompile" / "keywordsNetwork.java"
    (tmp_path / "Try.java").write_text(
        "public class Try { public static void main(String[] a) {\n"
        "  float[] scores = new float[4]; new edgecompile.keywordsNetwork().run(new float[240], scores);\n"
        '  System.out.println(scores[0] + scores[1] != 0 ? "ran" : "zero"); } }\n'
    )
    run(javac, "-h", tmp_path / "h", "-d", tmp_path / "classes", source, tmp_path / "Try.java")
    home = Path(javac).resolve().parent.parent
    run(
        "gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{home / 'include'}",
        f"-I{home / 'include' / 'linux'}", f"-I{module / 'include'}",
        "-include", tmp_path / "h" / "edgecompile_keywordsNetwork.h",
        tmp_path / "android" / "jni" / "keywords_jni.c",
        module / "libs" / "android.x86_64" / "libkeywords.a", "-lm", "-o", tmp_path / "libkeywords_jni.so",
    )  # fmt: skip
    java = run(home / "bin" / "java", f"-Djava.library.path={tmp_path}", "-cp", tmp_path / "classes", "Try")
    assert java == "ran\n"


def test_swift(keywords: Compile, tmp_path: Path) -> None:
    """Without a Swift compiler: the C module compiles, and every name that a file says is there."""
    package = write(keywords("cortex-m4", "c"), "swift", tmp_path / "package")
    text = (package / "Package.swift").read_text()
    for name in re.findall(r'\.target\(name: "(\w+)"', text):
        assert (package / "Sources" / name).is_dir()
    for name in re.findall(r'\.testTarget\(name: "(\w+)"', text):
        assert (package / "Tests" / name).is_dir()
    module = package / "Sources" / "Ckeywords"
    for header in re.findall(r'header "(\S+)"', (module / "include" / "module.modulemap").read_text()):
        assert (module / "include" / header).is_file()
    sources = sorted(module.glob("*.c"))
    assert len(sources) >= 8
    for source in sources:
        run("arm-none-eabi-gcc", *M4, "-c", f"-I{module / 'include'}", source, "-o", tmp_path / "x.o")
    swift = (package / "Sources" / "keywords" / "keywords.swift").read_text()
    assert "public func run(_ input0: [Float]) throws -> ([Float])" in swift
    assert swift.count("{") == swift.count("}")


def test_deb(keywords: Compile, tmp_path: Path) -> None:
    dpkg = tool_or_skip("dpkg-deb", "apt install dpkg")
    deb = write(keywords("host", "lib"), "deb", tmp_path)
    assert deb.name == "libkeywords-dev_1.0.0_amd64.deb"
    assert run(dpkg, "--field", deb, "Package", "Version", "Architecture").splitlines() == [
        "Package: libkeywords-dev", "Version: 1.0.0", "Architecture: amd64",
    ]  # fmt: skip
    rows = run(dpkg, "--contents", deb).splitlines()
    assert all(row.split()[1] == "root/root" and row[:10] in ("-rw-r--r--", "drwxr-xr-x") for row in rows)
    run(dpkg, "--extract", deb, tmp_path / "root")
    run(dpkg, "--control", deb, tmp_path / "control")
    run("md5sum", "--check", "--quiet", tmp_path / "control" / "md5sums", cwd=tmp_path / "root")
    (tmp_path / "main.c").write_text(
        "#include <keywords.h>\nint main(void) { return keywords_input_info(0) == 0; }\n"
    )
    usr = tmp_path / "root" / "usr"
    folder = usr / "lib" / "x86_64-linux-gnu"
    run(
        "gcc",
        f"-I{usr / 'include'}",
        tmp_path / "main.c",
        f"-L{folder}",
        "-lkeywords",
        "-lm",
        "-o",
        tmp_path / "p",
    )
    run(tmp_path / "p")
    assert (
        "Libs: -L/usr/lib/x86_64-linux-gnu -lkeywords -lm"
        in (folder / "pkgconfig" / "keywords.pc").read_text()
    )


def test_yocto(keywords: Compile, tmp_path: Path) -> None:
    """Structure only: bitbake cannot be had here."""
    folder = write(keywords("cortex-a72", "lib"), "yocto", tmp_path / "keywords")
    recipe = (folder / "keywords_1.0.0.bb").read_text()
    named = set(re.findall(r"file://([\w.]+)", recipe))
    assert named == {path.name for path in (folder / "files").iterdir()}
    checksum = re.search(r"md5=(\w+)", recipe)
    assert checksum is not None
    assert run("md5sum", folder / "files" / "LICENSES.md").split()[0] == checksum.group(1)
    assert 'COMPATIBLE_HOST = "aarch64.*-linux"' in recipe


def test_cargo(keywords: Compile, tmp_path: Path) -> None:
    crate = write(keywords("host", "lib"), "cargo", tmp_path / "crate")
    record = tomllib.loads((crate / "Cargo.toml").read_text())["package"]
    assert (record["name"], record["version"]) == ("keywords", "1.0.0")
    assert "build" not in record
    cargo = tool_or_skip("cargo", "apt install cargo")
    assert "1 passed" in run(cargo, "test", "--offline", "--test", "golden", cwd=crate)


def test_one_header_and_one_source(keywords: Compile, tmp_path: Path) -> None:
    """Built with the firmware example in the place of the package, it hears the same words."""
    folder = write(keywords("cortex-m4", "c"), "c-array", tmp_path / "c")
    assert {path.name for path in folder.iterdir()} == {
        "keywords.h",
        "keywords.c",
        "LICENSES.md",
        "manifest.json",
    }
    assert '#include "' not in (folder / "keywords.c").read_text().replace('#include "keywords.h"', "")
    selftest = write(keywords("cortex-m4", "c"), "cmake", tmp_path / "cmake") / "selftest"
    sources = [selftest / "keywords_selftest.c", selftest / "keywords_golden.c", BOARD / "startup.c"]
    (tmp_path / "main.c").write_text(
        '#include "keywords_selftest.h"\n#include "semihosting.h"\n'
        "static _Alignas(KEYWORDS_ARENA_ALIGN) unsigned char arena[KEYWORDS_ARENA_BYTES];\n"
        'int main(void) { print(keywords_selftest(1, arena) == 0 ? "right\\n" : "wrong\\n"); return 0; }\n'
        "void sensor_interrupt(void) {}\n"
    )
    sources += [BOARD / "semihosting.c", tmp_path / "main.c", folder / "keywords.c"]
    run(
        "arm-none-eabi-gcc", *M4, "-O2", "-Wall", "-Wextra",
        f"-I{folder}", f"-I{selftest}", f"-I{BOARD}", *sources,
        "-nostartfiles", "-Wl,--gc-sections", "-T", BOARD / "mps2-an386.ld", "-lm", "-o", tmp_path / "p",
    )  # fmt: skip
    assert run_firmware(tmp_path / "p") == "right\n"


def test_weights_and_code_where_place_puts_them(keywords: Compile, recording: Path, tmp_path: Path) -> None:
    """Code copied to one RAM, the arena in another, the weights in a flash of their own; and it runs."""
    options = PackageOptions(weights="section", place={"code": "ITCM", "weights": "QSPI", "arena": "DTCM"})
    package = write(keywords("cortex-m4", "lib"), "cmake", tmp_path / "package", options)
    script = (BOARD / "mps2-an386.ld").read_text()
    memories = (
        "  QSPI (r) : ORIGIN = 0x00200000, LENGTH = 1M\n  ITCM (rwx) : ORIGIN = 0x20200000, LENGTH = 64K\n"
    )
    memories += "  DTCM (rw) : ORIGIN = 0x20300000, LENGTH = 64K\n"
    script = script.replace("LENGTH = 4M\n  RAM", "LENGTH = 2M\n  RAM").replace(
        "LENGTH = 4M\n}", f"LENGTH = 2M\n{memories}}}"
    )
    # The vector table stays at 0, in front of everything else.
    vectors = "  .vectors : { KEEP(*(.vectors)) } > FLASH\n  INCLUDE keywords_sections.ld\n"
    (tmp_path / "board.ld").write_text(script.replace("SECTIONS\n{\n", f"SECTIONS\n{{\n{vectors}"))
    user = tmp_path / "user"
    user.mkdir()
    (user / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(user C)\nfind_package(keywords REQUIRED)\n"
        f"add_executable(user main.c {BOARD}/startup.c {BOARD}/semihosting.c\n"
        "  ${keywords_PREFIX}/selftest/keywords_selftest.c ${keywords_PREFIX}/selftest/keywords_golden.c)\n"
        f"target_include_directories(user PRIVATE {BOARD} ${{keywords_PREFIX}}/selftest)\n"
        "target_link_libraries(user PRIVATE keywords::place keywords::keywords)\n"
        f"target_link_options(user PRIVATE -nostartfiles -Wl,--gc-sections -T {tmp_path}/board.ld)\n"
    )
    (user / "main.c").write_text(
        '#include "keywords_place.h"\n#include "keywords_selftest.h"\n#include "semihosting.h"\n'
        "int main(void) { keywords_place();\n"
        '  print(keywords_selftest(0, keywords_arena) == 0 ? "right\\n" : "wrong\\n"); return 0; }\n'
        "void sensor_interrupt(void) {}\n"
    )
    run(
        "cmake", "-S", user, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={package}",
        f"-DCMAKE_TOOLCHAIN_FILE={BOARD / 'cortex-m4.cmake'}",
    )  # fmt: skip
    run("cmake", "--build", tmp_path / "build")
    with (tmp_path / "build" / "user").open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        symbols = {symbol.name: int(symbol["st_value"]) for symbol in table.iter_symbols()}
    assert symbols["keywords_weights"] >> 20 == 0x002
    assert symbols["keywords_run_with"] >> 20 == 0x202
    assert symbols["keywords_arena"] >> 20 == 0x203
    assert run_firmware(tmp_path / "build" / "user") == "right\n"


def test_mcuboot(keywords: Compile, tmp_path: Path) -> None:
    private, public = keys(tmp_path, 9)
    options = PackageOptions(weights="partition", signer=signer_from_file(private))
    folder = write(keywords("cortex-m4", "lib"), "mcuboot", tmp_path / "mcuboot", options)
    image = folder / "keywords_weights.signed.bin"
    assert "Image was correctly validated" in run("imgtool", "verify", "-k", public, image)
    payload = (folder / "keywords_weights.bin").read_bytes()
    assert image.read_bytes()[512 : 512 + len(payload)] == payload
    again = write(keywords("cortex-m4", "lib"), "mcuboot", tmp_path / "again", options)
    assert (again / image.name).read_bytes() == image.read_bytes()
    unsigned = write(
        keywords("cortex-m4", "lib"), "mcuboot", tmp_path / "u", PackageOptions(weights="partition")
    )
    assert not (unsigned / image.name).exists()
    words = re.search(r"^    (imgtool (?:.*\\\n)?.*)$", (unsigned / "README.md").read_text(), re.MULTILINE)
    assert words is not None
    command = words.group(1).replace("\\\n", " ").replace("KEY.pem", str(private)).split()
    run(*command, cwd=unsigned)
    assert (unsigned / image.name).read_bytes() == image.read_bytes()


def test_signing_for_mcuboot_without_imgtool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = signer_from_file(keys(tmp_path, 9)[0])
    monkeypatch.setattr(mcuboot, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"EC5561.*imgtool.*pip install 'edgecompile\[sign\]'"):
        mcuboot.signed_image("net", b"payload", 65536, "1.0.0", signer)


@pytest.mark.parametrize("form", ["rauc", "mender"])
def test_descriptions_of_updates(form: str, keywords: Compile, tmp_path: Path) -> None:
    """The digest is that of the payload; rauc and mender-artifact themselves are not run."""
    folder = write(keywords("cortex-a72", "lib"), form, tmp_path / form, PackageOptions(weights="file"))
    payload = next(folder.glob("*/keywords_weights.bin"))
    digest = run("sha256sum", payload).split()[0]
    description = folder / ("bundle/manifest.raucm" if form == "rauc" else "make-artifact.sh")
    assert digest in description.read_text()
    assert str(payload.stat().st_size) in description.read_text()
    if form == "mender":
        run("sh", "-n", description)
