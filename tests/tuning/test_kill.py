"""Sessions that are killed at any moment of their lives lose nothing of what they told.

The long form is `KILLS=500 pytest -s tests/tuning/test_kill.py`; it takes an hour or two.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgecompile.tuning.database import Database
from edgecompile.tuning.record import Trial, canonical
from tests.support.networks import save, small_cnn

_KILLS = int(os.environ.get("KILLS", "2"))
# Sessions go on from each other so often; then there is nothing left to tune.
_TOGETHER = 25


@dataclass(frozen=True)
class Ended:
    """A session: its exit status, how many trials it told of, and when, in seconds from its begin."""

    status: int
    told: int
    times: Sequence[float]


def session(network: str, records: Path, after: int = 99, delay: float = 0.0) -> Ended:
    """Search and comparison in the network, killed some seconds after so many events."""
    command = [sys.executable, "-m", "edgecompile", "tune", network, "--target", "host", "--json"]
    command += ["--records", str(records), "--trials", "16"]
    # What a killed process leaves behind goes with the test; nobody else's sessions are waited for.
    folder = Path(network).parent
    environment = os.environ | {"TMPDIR": str(folder), "EDGECOMPILE_CACHE": str(folder / "cache")}
    out, begin = folder / "out.txt", time.monotonic()
    times: list[float] = []
    with out.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
        try:
            while len(times) < after and process.poll() is None:
                times += [time.monotonic() - begin] * (len(_events(out)) - len(times))
                time.sleep(0.01)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=delay)
        finally:
            process.kill()
            process.wait()
    assert process.returncode in (0, -9), (process.returncode, out.read_text())
    events = _events(out)
    return Ended(process.returncode, events[-1]["progress"]["measured"] if events else 0, times)


def _events(out: Path) -> list[dict[str, Any]]:
    """There may be warnings, the result is several lines, and the last line may lack its end."""
    lines = out.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith('{"event"') and line.endswith("\n")]


@pytest.mark.timeout(600 + 60 * _KILLS)
def test_a_kill_at_any_moment_loses_nothing_that_was_told(tmp_path: Path) -> None:
    network = str(save(small_cnn(), tmp_path / "cnn.onnx"))
    whole = session(network, tmp_path / "whole", delay=600)
    assert (whole.status, whole.told) == (0, 16)
    begins = [0.0, *whole.times]
    chance, found = random.Random(), Counter[str]()
    for number in range(1, _KILLS + 1):
        records = tmp_path / str(number // _TOGETHER)
        before, _ = known(records)
        phase = chance.randrange(len(whole.times))
        delay = chance.uniform(0, begins[phase + 1] - begins[phase])
        ended = session(network, records, phase, delay)
        after, torn = known(records)
        assert after[: len(before)] == before
        assert len([trial for trial in after[len(before) :] if not trial.network]) >= ended.told
        found.update({"killed": ended.status == -9, "after it told": ended.status == -9 and ended.told > 0})
        found.update({"torn": torn, "trials": len(after) - len(before)})
        if number % _TOGETHER == 0:
            print(number, dict(found), flush=True)
    # Locks and files are free at once, and the next session goes on.
    before, _ = known(records)
    assert session(network, records, delay=600).status == 0
    assert len(known(records)[0]) >= len(before) + 16


def known(records: Path) -> tuple[Sequence[Trial], bool]:
    """The trials in a folder, each candidate by itself once, and whether a line lacks its end."""
    if not records.exists():
        return [], False
    database = Database.open(records)
    alone = [(trial.workload, canonical(trial.candidate)) for trial in database.trials if not trial.network]
    assert len(set(alone)) == len(alone)
    assert all(damage.why.startswith("its end is missing") for damage in database.damages)
    return database.trials, bool(database.damages)
