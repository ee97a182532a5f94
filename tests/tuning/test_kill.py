"""Sessions that are killed at any moment of their lives lose nothing of what they told.

The long form is `KILLS=500 pytest -s tests/tuning/test_kill.py`; it takes about an hour.
"""

from __future__ import annotations

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

from edgecompile.tuning.database import Database
from edgecompile.tuning.record import Trial, canonical
from tests.support.networks import save, small_cnn

_KILLS = int(os.environ.get("KILLS", "2"))
# Sessions go on from each other so often; then there is nothing left to tune.
_TOGETHER = 25


@dataclass(frozen=True)
class Ended:
    """A session that was killed, or ended before that: its exit status, and how many trials it told of."""

    status: int
    told: int


def session(network: str, records: Path, temporary: Path, kill_after: float | None = None) -> Ended:
    """Search and comparison in the network, in a process of its own."""
    command = [sys.executable, "-m", "edgecompile", "tune", network, "--target", "host", "--json"]
    command += ["--records", str(records), "--trials", "16"]
    # What a killed process leaves behind goes with the test.
    environment = os.environ | {"TMPDIR": str(temporary)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, env=environment, stdout=pipe, stderr=pipe) as process:
        try:
            out, errors = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -9), (process.returncode, out, errors)
    # There may be warnings, and the last line may lack its end.
    lines = [line for line in errors.splitlines(keepends=True) if line[0] == "{" and line[-1] == "\n"]
    events = [json.loads(line) for line in lines]
    return Ended(process.returncode, sum(events[-1]["progress"]["trials"]) if events else 0)


def test_a_kill_at_any_moment_loses_nothing_that_was_told(tmp_path: Path) -> None:
    network = str(save(small_cnn(), tmp_path / "cnn.onnx"))
    begin = time.monotonic()
    whole = session(network, tmp_path / "whole", tmp_path)
    lifetime = time.monotonic() - begin
    assert (whole.status, whole.told) == (0, 16)
    chance, found = random.Random(), Counter[str]()
    for number in range(_KILLS):
        records = tmp_path / str(number // _TOGETHER)
        before, _ = known(records)
        ended = session(network, records, tmp_path, chance.uniform(0, lifetime))
        after, torn = known(records)
        searched = [trial for trial in after if not trial.network]
        assert len(searched) >= ended.told
        assert after[: len(before)] == before
        found.update({"killed": ended.status == -9, "torn": torn, "told": ended.told > 0, "opened": True})
        found["trials"] += len(after) - len(before)
    print(dict(found), f"in a life of {lifetime:.1f} s")
    # Locks and files are free at once, and the next session goes on.
    before, _ = known(records)
    assert session(network, records, tmp_path).status == 0
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
