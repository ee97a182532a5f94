"""The command line as a user meets it: starting, help, exit codes, error paragraphs, JSON."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from edgecompile.cli import main as cli_main
from edgecompile.cli.main import VERBS, cli, main
from edgecompile.errors import BudgetError, Problem

HEAVY = ("tvm", "torch", "onnx", "onnx_ir", "onnxruntime", "numpy", "sklearn", "rich")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a program of its own."""
    command = [sys.executable, "-m", "edgecompile", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def replace_verb(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `edgecompile doctor` raise `error`."""

    @click.command("doctor")
    @click.option("--json", "as_json", is_flag=True)
    def command(as_json: bool) -> None:
        raise error

    monkeypatch.setattr("edgecompile.cli.doctor.command", command)


def test_help_lists_every_verb() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert all(f"\n  {verb} " in result.stdout for verb in VERBS)


def test_every_verb_has_help_of_its_own() -> None:
    context = click.Context(cli)
    for verb in VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        assert command.name == verb
        assert command.help


def test_help_starts_in_a_blink_and_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from edgecompile.cli.main import main\n"
        "status = main(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(status)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == "[]"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_version() -> None:
    assert run("--version").stdout == "edgecompile 0.1.0\n"


def test_without_arguments_help_is_shown_and_the_status_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compil"], "error[EC2000] No such command 'compil'. Fix: did you mean 'compile'?\n"),
        (["targets", "lst"], "error[EC2000] No such command 'lst'. Fix: did you mean 'list'?\n"),
        (
            ["targets", "show", "host", "--jso"],
            "error[EC2000] No such option '--jso'. Fix: did you mean '--json'?\n",
        ),
        (
            ["compile", "net.onnx"],
            "error[EC2000] Missing option '--target' / '-t'. Fix: see 'edgecompile compile --help'.\n",
        ),
        (
            ["targets", "show", "cortexm4"],
            "error[EC2001] unknown target 'cortexm4' at '--target'. Fix: did you mean 'cortex-m4'?\n",
        ),
    ],
)
def test_usage_errors_are_one_paragraph_with_a_hint(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err == message
    assert printed.out == ""


def test_usage_errors_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "show", "--json"]) == 2
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is False
    assert record["exit_code"] == 2
    assert record["problems"][0]["what"] == "Missing argument 'NAME'."


def test_all_problems_are_reported_with_the_exit_code_of_their_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flash = Problem("EC6001", "too large", "flash", "3 of 2", "shrink it")
    replace_verb(monkeypatch, BudgetError(flash, Problem("EC6002", "too hungry")))
    assert main(["doctor"]) == 6
    assert capsys.readouterr().err.splitlines() == [
        "error[EC6001] too large at 'flash': 3 of 2. Fix: shrink it.",
        "error[EC6002] too hungry.",
    ]
    assert main(["doctor", "--json"]) == 6
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "exit_code": 6,
        "problems": [
            {"code": "EC6001", "what": "too large", "where": "flash", "why": "3 of 2", "fix": "shrink it"},
            {"code": "EC6002", "what": "too hungry", "where": "", "why": "", "fix": ""},
        ],
    }


def test_a_bug_is_a_message_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EDGECOMPILE_TRACEBACK", raising=False)
    replace_verb(monkeypatch, RuntimeError("the\nroof is on fire"))
    assert main(["doctor"]) == 1
    message = capsys.readouterr().err
    assert message.startswith(
        "error[EC1000] unexpected failure in edgecompile: RuntimeError: the roof is on fire."
    )
    assert "EDGECOMPILE_TRACEBACK=1" in message
    assert "Traceback" not in message


def test_a_bug_shows_its_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMPILE_TRACEBACK", "1")
    replace_verb(monkeypatch, RuntimeError("the roof is on fire"))
    with pytest.raises(RuntimeError, match="roof"):
        main(["doctor"])


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    replace_verb(monkeypatch, KeyboardInterrupt())
    assert main(["doctor"]) == cli_main.INTERRUPTED == 130
    assert "error[EC0130] interrupted." in capsys.readouterr().err


def test_a_closed_pipe_is_no_bug() -> None:
    command = f"{sys.executable} -m edgecompile targets list | head -n 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert result.stdout.startswith("TARGET")
    assert result.stderr == ""


def test_the_installed_command_is_the_same(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("edgecompile")
    result = subprocess.run([program, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert result.stdout == "edgecompile 0.1.0\n"
