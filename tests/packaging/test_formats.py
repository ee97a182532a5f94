"""The table of formats, plug-ins, what a format refuses, and that each writes the same bytes again."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import cast

import jinja2
import pytest

from edgecompile.core import registry
from edgecompile.core.artifact import Artifact
from edgecompile.errors import InputError, UsageError
from edgecompile.packaging import formats
from edgecompile.packaging.check import check_package
from edgecompile.packaging.formats import BUILT_IN, Format, all_formats, find_format, package
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions, Weights, parse_place
from edgecompile.packaging.render import describe, render
from tests.packaging.build import write
from tests.packaging.conftest import Compile


def render_text(artifact: Artifact, options: PackageOptions) -> Files:
    return {"name.txt": artifact.manifest.name.encode()}


SUIT = Format("suit", "an envelope", render_text, machines="any")


def test_every_built_in_format_is_called_as_the_table_says() -> None:
    assert [form.name for form in all_formats()] == list(BUILT_IN)
    assert all(form.summary for form in all_formats())


def test_a_format_of_another_package(
    monkeypatch: pytest.MonkeyPatch, small: Artifact, tmp_path: Path
) -> None:
    point = EntryPoint("suit", f"{__name__}:SUIT", formats.PLUGIN_GROUP)
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [point] if group == formats.PLUGIN_GROUP else []
    )
    monkeypatch.setattr(EntryPoint, "load", lambda self: SUIT)
    assert find_format("suit") is SUIT
    assert all_formats()[-1] is SUIT
    (folder,) = package(small, find_format("suit"), PackageOptions(), tmp_path / "out")
    assert (folder / "name.txt").read_text() == "net"
    assert check_package(folder).manifest.format == "suit"


def test_a_broken_plug_in_is_named_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("suit", "no_such_module:FORMAT", formats.PLUGIN_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with (
        pytest.warns(UserWarning, match=r"plug-in 'suit'.*skipped"),
        pytest.raises(UsageError, match=r"EC2560.*unknown format 'suit'"),
    ):
        find_format("suit")


def test_an_unknown_format_says_which_is_near() -> None:
    with pytest.raises(UsageError, match=r"EC2560.*unknown format 'cmak'.*did you mean 'cmake'\?"):
        find_format("cmak")


def test_all_reasons_to_refuse_at_once(small: Artifact, tmp_path: Path) -> None:
    artifact = Artifact(small.path, dataclasses.replace(small.manifest, emit="tflite"))
    form = dataclasses.replace(SUIT, emit=("c",), machines="firmware")
    options = PackageOptions(weights="file", place={"model": "ITCM"})
    with pytest.raises(UsageError) as refused:
        package(artifact, form, options, tmp_path / "out")
    text = str(refused.value)
    assert "EC2563] suit does not take weights in 'file'" in text
    assert "Fix: give --weights inside" in text
    assert "EC2563] suit has no linker script" in text
    assert "EC2564] suit takes C source" in text
    assert "this is a TensorFlow Lite file. Fix: compile with --emit c" in text
    assert "EC2565] suit is for microcontrollers" in text
    assert "not host" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "1.0"}, "EC2562.*--version.*'1.0'.*three numbers"),
        ({"version": "1.0.0\n"}, "EC2562.*--version"),
        ({"license": "MIT\nX: y"}, "(?s)EC2562.*--license.*SPDX"),
        ({"weights": "away"}, "EC2562.*--weights.*one of inside, section, partition, file"),
        (
            {"place": parse_place(("stack:ITCM",))},
            "EC2562.*'stack:ITCM'.*subjects are model, code, weights, arena",
        ),
        ({"place": parse_place(("model",))}, "EC2562.*'model:'"),
        ({"place": parse_place(("model:A:B:C",))}, "EC2562.*'model:A:B:C'"),
        ({"place": parse_place(("model:A } B",))}, "EC2562"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PackageOptions(**options)  # type: ignore[arg-type]


def test_a_template_may_not_ask_for_what_is_not_there(small: Artifact) -> None:
    values = describe(small, PackageOptions())
    del values["target"]
    with pytest.raises(jinja2.UndefinedError, match=r"'target' is undefined"):
        render("bundle", values)


@pytest.mark.parametrize("form", BUILT_IN)
def test_the_same_bytes_again_and_nothing_of_this_machine(
    form: str, keywords: Compile, tmp_path: Path
) -> None:
    found = find_format(form)
    target = "cortex-m4" if found.machines == "firmware" or "lib" not in found.emit else "host"
    artifact = keywords(target, "lib" if "lib" in found.emit else "c")
    options = PackageOptions(weights=cast(Weights, found.weights[0]))
    one, other = found.render(artifact, options), found.render(artifact, options)
    assert one == other
    assert one
    for name, data in one.items():
        assert str(tmp_path.parent).encode() not in data, name
        assert str(Path.home()).encode() + b"/" not in data, name
        assert b"\r" not in data or b"\0" in data, name


def test_a_folder_of_somebody_else_is_not_replaced(keywords: Compile, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"EC3031"):
        write(keywords("host", "lib"), "cmake", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    # One file goes beside what is there.
    write(keywords("host", "lib"), "deb", tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 2


def test_a_folder_that_cannot_be_written(small: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"EC3030.*cannot write the folder"):
        write(small, "bundle", tmp_path / "file")


def test_a_package_is_replaced_by_a_new_one(keywords: Compile, tmp_path: Path) -> None:
    write(keywords("host", "lib"), "cmake", tmp_path / "p")
    (tmp_path / "p" / "extra").write_text("")
    write(keywords("host", "lib"), "cmake", tmp_path / "p")
    assert not (tmp_path / "p" / "extra").exists()
    assert check_package(tmp_path / "p").manifest.target == "host"
