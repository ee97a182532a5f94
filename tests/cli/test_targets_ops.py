"""`targets ops` prints what an accelerator computes."""

from __future__ import annotations

import json

import pytest

from edgecompile.cli.main import main

Capture = pytest.CaptureFixture[str]


def test_the_table_is_printed_in_three_forms(capsys: Capture) -> None:
    assert main(["targets", "ops", "ethos-u55-128", "--markdown"]) == 0
    markdown = capsys.readouterr().out
    assert markdown.startswith("| operator | what must hold |\n|---|---|\n| all | Activations are int8. |\n")
    assert main(["targets", "ops", "ethos-u55-128"]) == 0
    assert "WHAT MUST HOLD" in capsys.readouterr().out
    assert main(["targets", "ops", "ethos-u55-128", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["operators"]
    assert {"operator": "all", "constraints": "Activations are int8."} in rows
    assert "Softmax" in {row["operator"] for row in rows}


def test_a_cpu_has_no_table(capsys: Capture) -> None:
    assert main(["targets", "ops", "cortex-m4"]) == 2
    assert "error[EC2545] cortex-m4 has no table of operators" in capsys.readouterr().err


def test_an_accelerator_is_shown(capsys: Capture) -> None:
    assert main(["targets", "show", "rtx-4090"]) == 0
    assert "cuda             architecture sm_89, multiprocessors 128\n" in capsys.readouterr().out
    assert main(["targets", "show", "cortex-m4"]) == 0
    assert "architecture" not in capsys.readouterr().out
