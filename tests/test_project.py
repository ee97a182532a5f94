"""The project's own files: pins, the wheel, what must not be in the tree, what the docs point to."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest

from edgecompile import __version__, errors
from edgecompile.cli.main import VERBS, cli

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "edgecompile"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PAGES = ["README.md", "SECURITY.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*/README.md"))


def project_table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]


def tracked_files() -> list[Path]:
    """Every file of the project that is text, whether committed already or not."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [ROOT / name for name in names]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a wheel, built offline."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_tvm_and_onnx_are_pinned() -> None:
    dependencies = project_table()["dependencies"]
    assert "apache-tvm==0.27.0.post1" in dependencies
    assert "apache-tvm-ffi>=0.1.14.post0,<0.1.15" in dependencies
    assert "onnx==1.23.2" in dependencies


def test_every_distribution_that_is_imported_is_required() -> None:
    required = {re.split(r"[\[<>=; ]", text)[0] for text in project_table()["dependencies"]}
    for module, distribution in (
        ("elftools", "pyelftools"),
        ("onnx_ir", "onnx-ir"),
        ("packaging", "packaging"),
    ):
        assert distribution in required, module


def test_the_wheel_holds_code_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in PACKAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    for target in (ROOT / "targets").glob("*.toml"):
        assert f"edgecompile/_data/targets/{target.name}" in names
    assert "edgecompile/_data/tuning_logs/README.md" in names
    assert not [name for name in names if name.startswith(("tests/", "targets/", "tuning_logs/"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_works_on_its_own(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import edgecompile, edgecompile.core.target as target\n"
        "print(edgecompile.__file__)\n"
        "print(target.targets_dir())\n"
        "print('cortex-m4' in target.load_targets())\n"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{script}"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [
        str(tmp_path / "edgecompile" / "__init__.py"),
        str(tmp_path / "edgecompile" / "_data" / "targets"),
        "True",
    ]


def test_the_wheel_is_called_like_the_package(wheel: Path) -> None:
    assert wheel.name == f"edgecompile-{__version__}-py3-none-any.whl"


def test_no_machine_path_and_no_registry_in_the_tree() -> None:
    folders = "|".join(("wo" + "rk", "ro" + "ot", "fa" + "rm"))
    hosts = "|".join(("pypi" + r"\.org", "python" + "hosted", "registry" + r"\.npmjs", "deb" + r"\.debian"))
    pattern = re.compile(rf"(^|[^\w.])/({folders})/|{hosts}|download\.py" + "torch", re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)!r}"
        for path in tracked_files()
        for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES)
def test_what_the_documents_point_to_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    folders = "edgecompile|targets|docs|tests|benchmarks|examples|tuning_logs"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    for name, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)", text):
        linked = (ROOT / page).parent / name if name else ROOT / page
        if not linked.exists() or (heading and heading not in headings(linked)):
            missing.append(f"{name}#{heading}")
    assert missing == []


def headings(page: Path) -> set[str]:
    """The names by which links find the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_documents_have_these_options(page: str) -> None:
    text = (ROOT / page).read_text().replace("\\\n", " ")
    wrong = []
    for line in re.findall(rf"edgecompile ((?:{'|'.join(VERBS)})\b[^`\n#&]*)", text):
        command: click.Command = cli
        context = click.Context(cli)
        words = [word for word in line.split() if re.fullmatch(r"-\w|--[\w-]+|[a-z]+", word)]
        while isinstance(command, click.Group) and words:
            found = command.get_command(context, words.pop(0))
            if found is None:
                wrong.append(line)
                break
            command = found
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        wrong += [f"{word} in {line}" for word in words if word.startswith("-") and word not in known]
    assert wrong == []


def test_files_and_functions_stay_readable() -> None:
    too_long = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > 500:
            too_long.append(str(path.relative_to(ROOT)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 80:
                too_long.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert too_long == []


def test_every_problem_code_begins_with_its_exit_code() -> None:
    pattern = re.compile(r"(\w+Error)\(\s*(?:\*?\()?\s*Problem\(\s*\"(EC\d{4})\"")
    wrong, seen = [], 0
    for path in SOURCES:
        for kind, code in pattern.findall(path.read_text()):
            seen += 1
            exit_code = getattr(errors, kind).exit_code
            if code[2] != str(exit_code):
                wrong.append(f"{path.relative_to(ROOT)}: {kind} {code}")
    assert wrong == []
    assert seen > 20
