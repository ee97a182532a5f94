"""Android packages of networks for Qualcomm's HTP.

What is in one, and that its C++ compiles, is checked with a made-up context; it is executed, in the emulator,
where Qualcomm's package is installed and EDGECOMPILE_ONNXRUNTIME_HEADERS names a folder with the C headers of
onnxruntime.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact, Manifest, MemoryFigures, seal_artifact
from edgecompile.core.target import find_target
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import UsageError
from edgecompile.packaging.formats import find_format, package
from edgecompile.packaging.options import PackageOptions
from tests.packaging.build import run, tool_or_skip, write
from tests.packaging.conftest import EXAMPLES
from tests.support.networks import small_cnn
from tests.support.qualcomm import needs_qnn
from tests.support.quantized import quantize

STUBS = Path(__file__).parent / "stubs" / "android_htp"
CPP = ("-std=c++17", "-Wall", "-Wextra", "-Werror")
HEADERS = os.environ.get("EDGECOMPILE_ONNXRUNTIME_HEADERS", "")
SAMPLES = 3

INPUTS = (TensorInfo("x", (1, 4), "float32"), TensorInfo("tokens", (1, 6), "int32"))
OUTPUTS = (TensorInfo("y", (1, 3), "float32"), TensorInfo("states", (2, 2), "float32"))


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """An artifact for an HTP, without a context that anybody could load."""
    folder = tmp_path / "net.edge"
    folder.mkdir()
    random = np.random.default_rng(0)
    sides = (("in", INPUTS), ("out", OUTPUTS))
    golden = {
        f"{side}_{k}": random.integers(-9, 9, (SAMPLES, *info.shape)).astype(info.dtype)
        for side, infos in sides
        for k, info in enumerate(infos)
    }
    np.savez(folder / "golden.npz", allow_pickle=False, **golden)
    (folder / "net_htp.onnx").write_bytes(b"context")
    (folder / "NOTICE.txt").write_text("read Qualcomm_LICENSE.pdf")
    (folder / "report.json").write_text('{"qnn_sdk": "v2.51"}')
    manifest = Manifest(
        name="net",
        target="hexagon-v75",
        inputs=INPUTS,
        outputs=OUTPUTS,
        memory=MemoryFigures(0, 0, 7, 7),
        align=1,
        entry="",
        steps=(),
        emit="onnx",
        tools={"onnxruntime-qnn": "2.7.0"},
        model_sha256="",
        tolerance=0.125,
    )
    return Artifact(folder, seal_artifact(folder, manifest, find_target("hexagon-v75")))


def unpack(folder: Path, output: Path) -> Path:
    """The AAR in the package `folder`, unpacked to `output`; gives the folder of its headers."""
    with zipfile.ZipFile(folder / "net-1.2.0.aar") as archive:
        archive.extractall(output)
    return output / "prefab" / "modules" / "net" / "include"


def test_the_context_is_an_asset_and_no_library_is_inside(artifact: Artifact, tmp_path: Path) -> None:
    folder = write(artifact, "android", tmp_path / "package", PackageOptions(version="1.2.0"))
    headers = unpack(folder, tmp_path / "aar")
    files = {path.relative_to(tmp_path / "aar").as_posix() for path in (tmp_path / "aar").rglob("*.*")}
    assert not [name for name in files if name.endswith((".so", ".a"))]
    assert (tmp_path / "aar" / "assets" / "net_htp.onnx").read_bytes() == b"context"
    assert {path.name for path in headers.iterdir()} == {"net.hpp", "edgecompile_htp.hpp"}
    prefab = json.loads((tmp_path / "aar" / "prefab" / "prefab.json").read_text())
    assert (prefab["schema_version"], prefab["name"], prefab["version"]) == (2, "net", "1.2.0")
    assert json.loads((headers.parent / "module.json").read_text()) == {"export_libraries": []}
    root = ElementTree.fromstring((tmp_path / "aar" / "AndroidManifest.xml").read_text())
    (library,) = root.iter("uses-native-library")
    assert set(library.attrib.values()) == {"libcdsprpc.so", "false"}
    for place in (folder, tmp_path / "aar"):
        assert "Qualcomm_LICENSE.pdf" in (place / "NOTICE.txt").read_text()
    assert "see NOTICE.txt" in (tmp_path / "aar" / "LICENSES.md").read_text()


def test_the_dependencies_are_named(artifact: Artifact, tmp_path: Path) -> None:
    options = PackageOptions(version="1.2.0", license="MIT")
    folder = write(artifact, "android", tmp_path / "package", options)
    space = {"": "http://maven.apache.org/POM/4.0.0"}
    pom = ElementTree.parse(folder / "net-1.2.0.pom").getroot()
    coordinates = [pom.findtext(key, "", space) for key in ("groupId", "artifactId", "version", "packaging")]
    assert coordinates == ["edgecompile", "net", "1.2.0", "aar"]
    assert pom.findtext("licenses/license/name", "", space) == "MIT"
    wanted = {
        "com.microsoft.onnxruntime:onnxruntime-android": "[1.24.1,)",
        "com.qualcomm.qti:onnxruntime-android-qnn": "[2.7.0,)",
    }
    found = pom.findall("dependencies/dependency", space)
    names = [f"{d.findtext('groupId', '', space)}:{d.findtext('artifactId', '', space)}" for d in found]
    assert dict(zip(names, (d.findtext("version", "", space) for d in found), strict=True)) == wanted
    readme = (folder / "README.md").read_text()
    assert all(name in readme for name in wanted)
    assert "(v2.51)" in readme


def test_names_and_shapes_are_those_of_the_network(artifact: Artifact, tmp_path: Path) -> None:
    folder = write(artifact, "android", tmp_path / "package", PackageOptions(version="1.2.0"))
    header = (unpack(folder, tmp_path / "aar") / "net.hpp").read_text()
    assert '// "tokens": int32 [1, 6]\nusing Input1 = std::array<int32_t, 6>;' in header
    assert '// "states": float32 [2, 2]\nusing Output1 = std::array<float, 4>;' in header
    signature = "const Input0& input0, const Input1& input1, Output0& output0, Output1& output1"
    assert f"void run({signature}) const" in header


@pytest.mark.parametrize("system", [(), ("-D__ANDROID__",)])
def test_the_sources_compile(artifact: Artifact, tmp_path: Path, system: tuple[str, ...]) -> None:
    compiler = tool_or_skip("g++", "apt install g++")
    folder = write(artifact, "android", tmp_path / "package", PackageOptions(version="1.2.0"))
    headers = unpack(folder, tmp_path / "aar")
    (tmp_path / "app.cpp").write_text(
        "#include <net.hpp>\n#ifdef __ANDROID__\n"
        'net::Network load(AAssetManager* a) { return net::Network::from_asset(a, "/"); }\n#endif\n'
    )
    for source in (
        folder / "selftest" / "net_selftest.cpp",
        EXAMPLES / "android-qnn" / "main.cpp",
        tmp_path / "app.cpp",
    ):
        run(compiler, *CPP, *system, "-fsyntax-only", f"-I{headers}", f"-I{STUBS}", source)


@pytest.mark.parametrize("form", ["cmake", "swift", "cargo", "mcuboot"])
def test_other_formats_name_this_one(artifact: Artifact, tmp_path: Path, form: str) -> None:
    with pytest.raises(UsageError) as refused:
        package(artifact, find_format(form), PackageOptions(), tmp_path / "package")
    text = str(refused.value)
    assert f"EC2564] {form} takes " in text
    assert "this is a context for Qualcomm's HTP. Fix: package it with --format android" in text


def test_this_format_names_that_of_core_ml(artifact: Artifact, tmp_path: Path) -> None:
    model = Artifact(artifact.path, dataclasses.replace(artifact.manifest, emit="mlpackage"))
    with pytest.raises(UsageError, match=r"this is a Core ML model. Fix: package it with --format swift"):
        package(model, find_format("android"), PackageOptions(), tmp_path / "package")


@needs_qnn
@pytest.mark.skipif(
    not HEADERS,
    reason="onnxruntime_c_api.h not found (EDGECOMPILE_ONNXRUNTIME_HEADERS names its folder; "
    "it is in the Maven package com.microsoft.onnxruntime:onnxruntime-android)",
)
@pytest.mark.usefixtures("tools")
def test_the_example_runs_in_the_emulator(tmp_path: Path) -> None:
    import onnxruntime
    import onnxruntime_qnn

    onnx.save(quantize(small_cnn()), tmp_path / "cnn.onnx")
    options = CompileOptions(find_target("snapdragon-8-gen2"))
    artifact = compile_model(str(tmp_path / "cnn.onnx"), options, tmp_path / "cnn.edge").artifact
    folder = write(artifact, "android", tmp_path / "package")
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    for name, place in (("include", Path(HEADERS)), ("lib/libonnxruntime.so", library)):
        link = tmp_path / "onnxruntime" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)
    (tmp_path / "onnxruntime" / "lib" / "libonnxruntime.so.1").symlink_to(library)
    settings = {"PACKAGE": folder, "NETWORK": "cnn", "ONNXRUNTIME": tmp_path / "onnxruntime"}
    build = tmp_path / "build"
    run(
        "cmake",
        "-S",
        EXAMPLES / "android-qnn",
        "-B",
        build,
        "-G",
        "Ninja",
        *(f"-D{k}={v}" for k, v in settings.items()),
    )
    run("cmake", "--build", build)
    qnn = Path(onnxruntime_qnn.__file__).parent
    assert "cnn: 3 of 3 samples right" in run(build / "selftest", build / "cnn_htp.onnx", qnn)
    with np.load(artifact.path / "golden.npz") as golden:
        x, y = golden["in_0"][1], golden["out_0"][1]
    (tmp_path / "x.bin").write_bytes(x.tobytes())
    run(build / "infer", build / "cnn_htp.onnx", qnn, tmp_path / "y.bin", tmp_path / "x.bin")
    got = np.fromfile(tmp_path / "y.bin", y.dtype).reshape(y.shape)
    assert float(abs(got - y).max()) <= 0.03 * float(abs(y).max())
