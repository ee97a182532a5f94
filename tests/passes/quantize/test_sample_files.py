"""Calibration data from files, folders and functions."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import EdgeCompileError, InputError, MissingToolError, UsageError
from edgecompile.passes.quantize.sample_files import load_function, open_samples

PICTURE = (TensorInfo("x", (1, 3, 4, 5), "float32"),)
LINE = (TensorInfo("x", (1, 6), "float32"),)


def refusal(kind: type[EdgeCompileError], source: Path | str, infos: tuple[TensorInfo, ...] = PICTURE) -> str:
    with pytest.raises(kind) as caught:
        list(open_samples(str(source), infos))
    return str(caught.value)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a module that can be imported from the current folder; returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(body: str, name: str = f"samples_{tmp_path.name.replace('-', '_')}") -> str:
        (tmp_path / f"{name}.py").write_text(f"import numpy as np\n{body}\n")
        return name

    return write


def test_an_npz_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.arange(12.0).reshape(2, 6))
    found = open_samples(str(tmp_path / "data.npz"), LINE)
    assert found.count == 2
    assert [sample["x"][0, 0] for sample in found] == [0.0, 6.0]


def test_a_folder_of_arrays_in_the_order_of_names(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.full((2, 6), 2.0))
    np.savez(tmp_path / "a.npz", x=np.full((1, 6), 1.0))
    (tmp_path / "notes.txt").write_text("not data")
    assert [sample["x"][0, 0] for sample in open_samples(str(tmp_path), LINE)] == [1.0, 2.0, 2.0]


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed (pip install pillow)")
    image.new("RGB", (10, 8), (255, 0, 51)).save(tmp_path / "red.png")
    found = open_samples(str(tmp_path), PICTURE)
    assert found.count == 1
    (sample,) = found
    np.testing.assert_allclose(sample["x"][0, :, 0, 0], [1.0, 0.0, 0.2], atol=1e-6)


def test_pictures_need_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    usual = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError("No module named 'PIL'")
        return usual(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    message = refusal(MissingToolError, tmp_path)
    assert "Pillow, which reads images, is not installed" in message
    assert "pip install pillow" in message


def test_pictures_need_a_network_that_takes_one(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed (pip install pillow)")
    image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert "the network does not take one picture" in refusal(InputError, tmp_path, LINE)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image", reason="pillow is not installed (pip install pillow)")
    (tmp_path / "a.png").write_bytes(b"no picture")
    message = refusal(InputError, tmp_path)
    assert "error[EC3301] cannot read the data" in message
    assert "a.png" in message


@pytest.mark.parametrize("name", ["data.npz", "folder/data.npy"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"no array")
    source = path if path.suffix == ".npz" else path.parent
    message = refusal(InputError, source)
    assert "error[EC3301] cannot read the data" in message
    assert path.name in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(InputError, tmp_path / "data.npz")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    message = refusal(InputError, tmp_path)
    assert "error[EC3305] there are no calibration samples" in message
    assert "it has no .npy, .npz, .jpg, .png or .bmp files" in message


def test_something_else_is_refused() -> None:
    message = refusal(UsageError, "data.csv")
    assert "error[EC2322] cannot tell what 'data.csv' is" in message
    assert "give --calibrate data.npz, a folder, or package.module:function" in message


@pytest.mark.parametrize(
    "body",
    [
        "def f():\n    for k in range(3):\n        yield np.zeros((1, 6))",
        "def f():\n    return [np.zeros((2, 6)), {'x': np.zeros(6)}]",
        "def f():\n    return np.zeros((3, 6))",
        "def f():\n    return {'x': np.zeros((3, 6))}",
    ],
)
def test_a_function_may_return_many_things(module: Any, body: str) -> None:
    found = open_samples(f"{module(body)}:f", LINE)
    assert len(list(found)) == len(list(found)) == 3


def test_a_function_of_another_name(module: Any) -> None:
    name = module("def batches():\n    pass")
    message = refusal(InputError, f"{name}:batch")
    assert f"error[EC3307] there is no 'batch' in '{name}:batch'" in message
    assert "did you mean 'batches'?" in message


def test_a_module_that_cannot_be_imported() -> None:
    message = refusal(InputError, "no_such_module_here:f")
    assert "error[EC3307] cannot import 'no_such_module_here'" in message


def test_what_is_no_function(module: Any) -> None:
    with pytest.raises(InputError, match="is no function"):
        load_function(f"{module('f = 3')}:f")


def test_a_function_that_raises(module: Any) -> None:
    message = refusal(InputError, f"{module('def f():' + chr(10) + '    raise KeyError(5)')}:f")
    assert "error[EC3308]" in message
    assert "KeyError: 5" in message


def test_a_function_that_gives_nothing(module: Any) -> None:
    message = refusal(InputError, f"{module('def f():' + chr(10) + '    return 3')}:f")
    assert "gives no samples" in message
    assert "it returned a int" in message
