"""What compilers of others print and leave behind."""

from __future__ import annotations

from pathlib import Path

from edgecompile.backends.vendor import crashed, keep_network, print_into, reasons
from edgecompile.core.isolate import run_isolated
from edgecompile.errors import InputError, Problem


def say(path: str) -> None:
    import os

    with open(path, "wb") as log:
        print_into(log)
        print("from Python", flush=True)
        os.system("echo from a program; echo and its errors >&2")


def test_all_that_is_printed_goes_into_the_log(tmp_path: Path) -> None:
    run_isolated(say, str(tmp_path / "log"), task="printing", timeout_s=60)
    assert (tmp_path / "log").read_text() == "from Python\nfrom a program\nand its errors\n"


def test_what_it_crashed_on_is_kept() -> None:
    kept = keep_network(b"network", "/layer 1", ".onnx")
    error = crashed("EC1999", "The compiler", "/layer 1", "it ended", kept)
    assert (
        str(error)
        == f"error[EC1999] The compiler crashed at '/layer 1': it ended. Fix: report it together with {kept}."
    )
    assert (kept.read_bytes(), kept.suffix, "/" in kept.name) == (b"network", ".onnx", False)
    assert keep_network(b"network", "/layer 1", ".onnx") == kept
    kept.unlink()


def test_reasons_are_one_line() -> None:
    problems = [Problem("EC3999", "what", "", "why", ""), Problem("EC3999", "what else", "", "", "")]
    assert reasons(InputError(*problems)) == "why; what else"
