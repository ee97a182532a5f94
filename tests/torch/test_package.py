"""The package as users meet it: what it offers, what it says without torchao, and the example."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import edgecompile.torch

ROOT = Path(__file__).parents[2]


def test_what_it_offers() -> None:
    offered = ["prepare_qat", "freeze", "finish", "distillation_loss", "mutual_loss"]
    offered += ["Training", "finetune", "LotteryTicket", "Int8Quantizer"]
    assert edgecompile.torch.__all__ == offered
    assert all(getattr(edgecompile.torch, name).__doc__ for name in offered)


def test_torchao_is_pinned() -> None:
    """Its interface to quantizers changes from release to release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "torchao==0.18.0" in project["optional-dependencies"]["torch"]


def test_without_torchao_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['torchao'] = None; import edgecompile.torch"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error[EC5101] training needs PyTorch and torchao" in done.stderr
    assert "pip install 'edgecompile[torch]'" in done.stderr


def test_the_rest_does_not_load_it() -> None:
    script = "import sys, edgecompile.compiler, edgecompile.cli.main; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_example_reaches_the_accuracy_of_float(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/qat_digits/train.py"), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    print(done.stdout)
    in_float, after, aware, compiled = map(float, re.findall(r"(\d\.\d{3})$", done.stdout, re.MULTILINE))
    assert in_float > 0.93
    assert after > in_float - 0.03
    assert aware > in_float - 0.015
    assert abs(compiled - aware) < 0.01
