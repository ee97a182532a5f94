"""Archives, static libraries, weights and self-tests, piece by piece."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.artifact import Artifact
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError
from edgecompile.golden import npz_bytes
from edgecompile.packaging.archive import FIRST_DATE, LAST_DATE, tar_bytes, zip_bytes
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.selftest import MAX_BYTES, golden_vectors, selftest_files
from edgecompile.packaging.static_library import Member, members, without
from edgecompile.packaging.weights import weights_image, weights_of
from tests.packaging.build import run
from tests.packaging.conftest import Compile

NAMES = st.text("abc_.", min_size=1, max_size=8).filter(lambda name: name.strip("."))


@given(st.dictionaries(NAMES, st.binary(max_size=40), max_size=5), st.integers(FIRST_DATE, LAST_DATE))
def test_archives_hold_what_was_put_in_and_nothing_else(files: dict[str, bytes], date: int) -> None:
    with zipfile.ZipFile(io.BytesIO(zip_bytes(files, date))) as archive:
        assert archive.namelist() == sorted(files)
        assert {name: archive.read(name) for name in files} == files
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
    with tarfile.open(fileobj=io.BytesIO(tar_bytes(files, date))) as tar:
        assert tar.getnames() == sorted(files)
        assert {member.mtime for member in tar.getmembers()} <= {date}
    reordered = dict(reversed(files.items()))
    assert zip_bytes(reordered, date) == zip_bytes(files, date)
    assert tar_bytes(reordered, date) == tar_bytes(files, date)


def test_a_library_without_a_member_still_has_its_index(tmp_path: Path) -> None:
    objects = []
    for name in ("first", "a_name_that_is_longer_than_sixteen", "third"):
        (tmp_path / f"{name}.c").write_text(f"int {name}(void) {{ return 1; }}\nint {name}_too = 2;\n")
        run("gcc", "-c", f"{name}.c", "-o", f"{name}.o", cwd=tmp_path)
        objects.append(f"{name}.o")
    for place, object_name in enumerate(objects):
        (tmp_path / "lib.a").unlink(missing_ok=True)
        run("ar", "rcsD", "lib.a", *objects, cwd=tmp_path)
        library = (tmp_path / "lib.a").read_bytes()
        assert [member.name for member in members(library)] == objects
        assert without(library, lambda member: False) == library
        (tmp_path / "lib.a").write_bytes(without(library, partial(_is_called, object_name)))
        rest = [name for name in objects if name != object_name]
        assert run("ar", "t", "lib.a", cwd=tmp_path).split() == rest
        index = run("nm", "-s", "lib.a", cwd=tmp_path).split("\n\n")[0]
        wanted = [f"{n[:-2]}{t} in {n}" for n in rest for t in ("", "_too")]
        assert sorted(index.strip().splitlines()[1:]) == sorted(wanted)
        kept = rest[place % 2][:-2]
        (tmp_path / "main.c").write_text(f"int {kept}(void); int main(void) {{ return {kept}() - 1; }}")
        run("gcc", "main.c", "lib.a", "-o", "main", cwd=tmp_path)
        run(tmp_path / "main")


def _is_called(name: str, member: Member) -> bool:
    return member.name == name


@pytest.mark.parametrize("data", [b"", b"hello", b"!<arch>\nshort", b"!<arch>\n" + b"x" * 60])
def test_what_is_no_library(data: bytes) -> None:
    with pytest.raises(InputError, match=r"EC3571.*library is damaged.*compile again"):
        members(data)


def test_weights_that_are_not_there(keywords: Compile, small: Artifact, tmp_path: Path) -> None:
    artifact = keywords("host", "lib")
    assert len(weights_of(artifact)) == artifact.manifest.memory.weights
    copy = shutil.copytree(artifact.path, tmp_path / "copy.edge")
    library = copy / "lib" / "libkeywords.a"
    library.write_bytes(without(library.read_bytes(), lambda member: "weights" in member.name))
    with pytest.raises(InputError, match=r"EC3572.*cannot take the weights apart.*bytes of keywords_weights"):
        weights_of(Artifact(copy, artifact.manifest))


@given(st.binary(max_size=200), st.sampled_from([8, 16, 64, 128]))
def test_the_image_of_weights_is_aligned_and_says_its_size(weights: bytes, align: int) -> None:
    image = weights_image(weights, align)
    begin = int.from_bytes(image[4:8], "little")
    assert (image[:4], begin % align, image[begin:]) == (b"ECW1", 0, weights)
    assert int.from_bytes(image[8:12], "little") == len(weights)


def with_output(small: Artifact, folder: Path, values: np.ndarray, exact: bool = False) -> Artifact:
    """The small artifact with another output, of these values for each of its samples."""
    copy = shutil.copytree(small.path, folder / "copy.edge")
    info = TensorInfo("y", values.shape[1:], values.dtype.name)
    inputs = np.zeros((len(values), 1, 4), np.float32)
    arrays = {"in_0": inputs, "out_0": values, "noise_0": np.asarray(0.0), "exact_0": np.asarray(exact)}
    (copy / "golden.npz").write_bytes(npz_bytes(arrays))
    return Artifact(copy, replace(small.manifest, outputs=(info,)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "bool", "int64"])
def test_the_self_test_compares_every_type(dtype: str, small: Artifact, tmp_path: Path) -> None:
    """A network that always returns the bytes it was built with, right, almost right, and wrong."""
    values = np.array([[1.0, -2.0, 0.0]]).astype(dtype)
    if values.dtype.kind == "f":
        values = np.array([[1.0, -2.0, np.nan, np.inf, 6e-8 if dtype == "float16" else 1e-30]]).astype(dtype)
    artifact = with_output(small, tmp_path, values)
    for name, data in selftest_files(artifact, PackageOptions()).items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "net.h").write_text(HEADER)
    almost, wrong = values.copy(), values.copy()
    is_real = values.dtype.kind == "f"
    almost[0, 0] = np.asarray(1.0, dtype) if not is_real else np.nextafter(values[0, 0], values.dtype.type(2))
    wrong[0, 0] = 0
    for given_values, expected in (
        (values, 0),
        (almost, 1 if is_real and dtype == "float16" else 0),
        (wrong, 1),
    ):
        rows = ", ".join(map(str, given_values.tobytes()))
        (tmp_path / "net.c").write_text(NETWORK.replace("BYTES", rows))
        flags = ["-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wconversion", "-std=c11"]
        sources = ["net.c", "net_selftest.c", "net_golden.c", "net_selftest_main.c"]
        run("gcc", *flags, *sources, "-o", "p", "-lm", cwd=tmp_path)
        done = subprocess.run([tmp_path / "p"], capture_output=True, text=True, check=False)
        assert done.returncode == expected, (given_values, done.stdout)


HEADER = """#include <stddef.h>
#include <stdint.h>
#define NET_ARENA_BYTES 12
#define NET_ARENA_ALIGN 16
#define NET_ERROR_NULL (-3)
int net_run(const void* const inputs[], void* const outputs[], void* arena, size_t arena_bytes);
"""
NETWORK = """#include "net.h"
#include <string.h>
static const unsigned char bytes[] = {BYTES};
int net_run(const void* const inputs[], void* const outputs[], void* arena, size_t arena_bytes) {
  (void)inputs; (void)arena; (void)arena_bytes;
  memcpy(outputs[0], bytes, sizeof bytes);
  return 0;
}
"""


def test_exact_outputs_are_compared_bit_by_bit(small: Artifact, tmp_path: Path) -> None:
    _, _, (vector,) = golden_vectors(
        with_output(small, tmp_path / "a", np.ones((1, 3), np.float32), exact=True)
    )
    assert vector.allowed == "0"
    _, _, (vector,) = golden_vectors(with_output(small, tmp_path / "b", np.full((1, 3), 5.0, np.float32)))
    assert float(vector.allowed) == pytest.approx(5e-4)


def test_large_vectors_are_few(small: Artifact, tmp_path: Path) -> None:
    many = with_output(small, tmp_path / "a", np.zeros((40, MAX_BYTES // 16), np.float32))
    assert golden_vectors(many)[0] == 3
    large = with_output(small, tmp_path / "b", np.zeros((2, MAX_BYTES), np.float32))
    assert golden_vectors(large)[0] == 1


def test_vectors_that_cannot_be_read(small: Artifact, tmp_path: Path) -> None:
    copy = shutil.copytree(small.path, tmp_path / "copy.edge")
    (copy / "golden.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"EC3573.*cannot read the golden vectors.*compile again"):
        golden_vectors(Artifact(copy, small.manifest))
