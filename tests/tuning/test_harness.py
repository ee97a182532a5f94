"""The program around candidates, with candidates that do what kernels must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.core.device import Metric
from edgecompile.devices.open import open_device
from edgecompile.toolchain.build import build_program
from edgecompile.toolchain.find import find_toolchain
from edgecompile.tuning import measure
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.measure import Bench, Meter
from edgecompile.tuning.program import HARNESS
from tests.fakes.build import target_or_skip
from tests.support.scripted import INFO

# Candidates copy 64 bytes; most do something else as well.
_CANDIDATES = """
#include <stddef.h>
#include <stdint.h>
#define TRIALS 6
#define TRIALS_INPUT_BYTES 64
#define TRIALS_OUTPUT_BYTES 64
#define TRIALS_WORKSPACE_BYTES 64
#define TRIALS_EVICT_BYTES 64
typedef unsigned char byte;
static void copy(byte* in, byte* out, byte* work) {
  for (int i = 0; i < 64; ++i) out[i] = work[i] = in[i];
}
static void crashes(byte* in, byte* out, byte* work) { copy(in, out, work); __builtin_trap(); }
static void hangs(byte* in, byte* out, byte* work) { copy(in, out, work); for (volatile int i = 1; i;) {} }
static void overruns(byte* in, byte* out, byte* work) { copy(in, out, work); ((volatile byte*)out)[70] = 1; }
static void forgets(byte* in, byte* out, byte* work) { copy(in, work, work); (void)out; }
static void (*const trials[TRIALS])(byte*, byte*, byte*) = {copy, crashes, hangs, overruns, forgets, copy};
"""


@pytest.mark.parametrize(("name", "metric"), [("host", "seconds"), ("cortex-m4", "instructions")])
def test_every_candidate_answers_for_itself(
    name: str, metric: Metric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_START_S", 3.0)
    target = target_or_skip(name)
    (tmp_path / "trials.h").write_text(_CANDIDATES)
    toolchain = find_toolchain(target, executable=True)
    flags = ["-I", str(tmp_path), "-I", str(HARNESS)]
    sources = [HARNESS / "trials.c", HARNESS / "processor.c"]
    path = build_program(sources, [], flags, target, toolchain, tmp_path / "trials")
    trials = Trials(path, tuple(range(6)), (INFO,), (INFO,))
    with open_device(None, target) as device:
        outcomes = Meter(Bench(target, device, metric), (INFO,), (INFO,)).measure(trials)
    failures = [outcomes[index].failure for index in range(6)]
    # Sixty-four bytes take so little time that a clock may not tell.
    assert failures[:5] == [None, "crash", "timeout", "crash", "wrong"]
    assert failures[5] in (None, "noisy")
    assert outcomes[0].value
