"""Run all conformance cases and say what became of them: `python -m tests.conformance.survey`."""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import sys
from functools import cache
from pathlib import Path

from tests.conformance.cases import all_cases
from tests.conformance.run import Outcome, run_case

REFUSALS = Path(__file__).parent / "expected_refusals.txt"


@cache
def expected_refusals() -> frozenset[str]:
    """Names of the cases that must be refused."""
    lines = REFUSALS.read_text(encoding="utf-8").splitlines() if REFUSALS.is_file() else []
    return frozenset(line.split("#")[0].strip() for line in lines if line.split("#")[0].strip())


def _attempt(name: str, target: str, emit: str) -> tuple[str, str, str]:
    """One case; a fork keeps a crash from ending the survey."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            outcome = run_case(all_cases()[name], target, emit)
        except BaseException as error:
            outcome = Outcome("wrong", f"{type(error).__name__}: {error}")
        os.write(writer, f"{outcome.kind}\n{outcome.detail[:2000]}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    kind, _, detail = text.partition("\n")
    return name, kind or "crash", detail


def main() -> None:
    """Print every case that did not pass, then the totals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite expected_refusals.txt")
    parser.add_argument("--target", default="host", help="a target that this machine executes")
    parser.add_argument("--emit", default="lib", choices=("lib", "c"))
    parser.add_argument("pattern", nargs="?", default="", help="only cases whose name contains this")
    arguments = parser.parse_args()
    names = [name for name in all_cases() if arguments.pattern in name]
    with multiprocessing.Pool(2) as pool:
        jobs = [(name, arguments.target, arguments.emit) for name in names]
        outcomes = pool.starmap(_attempt, jobs, chunksize=8)
    for name, kind, detail in outcomes:
        if kind != "passed":
            sys.stdout.write(f"{kind:8} {name}: {' '.join(detail.split())[:300]}\n")
    sys.stdout.write(f"{dict(collections.Counter(kind for _, kind, _ in outcomes))}\n")
    if arguments.write:
        refused = "".join(f"{name}\n" for name, kind, _ in outcomes if kind == "refused")
        REFUSALS.write_text("# Cases that are refused with an explanation (exit 4).\n" + refused)


if __name__ == "__main__":
    main()
