"""The demonstration: the whole path, and what it says where a program is missing."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecompile import demo
from edgecompile.cli.main import main
from edgecompile.demo import DemoRow, run_demo
from edgecompile.errors import MissingToolError

ROWS = (
    DemoRow("host", "float32", "", 0.975, 2.5e-7, 46210, 8448, None, 12.34),
    DemoRow("cortex-a72", "int8", "qemu-aarch64 not found (apt install qemu-user)"),
    DemoRow("cortex-m4", "int8", "", 0.975, 2.0e-7, 45000, 8448, 1234567, None),
)


def test_training_and_test_pictures_are_different() -> None:
    train, test, train_digits, test_digits = demo._data()
    assert (len(train), len(test)) == (1437, 360)
    assert (len(train_digits), len(test_digits)) == (1437, 360)
    assert train.shape[1:] == (1, 8, 8)
    assert train.dtype == np.float32
    assert (train.min(), train.max()) == (0.0, 1.0)
    again = demo._data()
    np.testing.assert_array_equal(again[1], test)


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda folder, progress: ROWS)
    assert main(["demo"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "TARGET     TYPE     ACCURACY  MAX ERROR  FLASH BYTES  ARENA BYTES  INSTRUCTIONS  µs ON HOST",
        "host       float32     97.5%    2.5e-07       46,210        8,448             -        12.3",
        "cortex-m4  int8        97.5%    2.0e-07       45,000        8,448     1,234,567           -",
        "cortex-a72  int8     skipped: qemu-aarch64 not found (apt install qemu-user)",
    ]


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )
    with pytest.raises(MissingToolError) as caught:
        run_demo()
    assert str(caught.value) == (
        "error[EC5101] torch is not installed. Fix: pip install 'edgecompile[demo]'."
    )


@pytest.mark.slow
def test_the_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    hidden = "qemu-aarch64"
    monkeypatch.setattr(shutil, "which", lambda name, *rest: None if name == hidden else which(name, *rest))
    tasks: list[str] = []
    host, a72, m4, *integer = run_demo(tmp_path, tasks.append)
    assert len(tasks) == 8
    assert a72 == DemoRow("cortex-a72", "float32", "qemu-aarch64 not found (apt install qemu-user)")
    assert [(row.target, row.dtype) for row in integer] == [
        ("host", "int8"),
        ("cortex-a72", "int8"),
        ("cortex-m4", "int8"),
    ]
    for row in (host, m4, integer[0], integer[2]):
        if row.skipped:
            pytest.skip(row.skipped)
        assert row.accuracy is not None
        assert row.accuracy > 0.95
        assert row.max_error is not None
        assert row.max_error <= 1e-4
        assert row.arena_bytes
        assert row.flash_bytes
    assert host.accuracy == m4.accuracy
    assert integer[0].max_error == integer[2].max_error == 0.0
    assert host.host_us is not None
    assert m4.instructions is not None
    assert (tmp_path / "digits-float32-cortex-m4.edge" / "include" / "digits.h").is_file()
    build_readme_example(tmp_path / "digits-float32-host.edge", tmp_path)


def build_readme_example(artifact: Path, folder: Path) -> None:
    """The C program in the README compiles without a warning against the demo's artifact, and runs."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (folder / "main.c").write_text(readme.partition("```c\n")[2].partition("```")[0])
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{artifact / 'include'}"]
    inputs = [str(folder / "main.c"), str(artifact / "lib" / "libdigits.a"), "-lm"]
    subprocess.run(["gcc", *flags, *inputs, "-o", str(folder / "main")], check=True)
    assert subprocess.run([folder / "main"], check=False).returncode == 0
