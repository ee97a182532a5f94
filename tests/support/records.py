"""Records of tuning as they come out of a session."""

from __future__ import annotations

from dataclasses import replace

from edgecompile.tuning.record import Trial, Workload

WORKLOAD = Workload({"op": "Conv", "name": "conv 3x3", "shape": [1, 16, 16, 32], "dtype": "int8"})
TRIAL = Trial(
    WORKLOAD.key,
    "host",
    "seconds",
    {"rows": 6, "columns": 32},
    1.5e-5,
    "local: some CPU",
    {"edgecompile": "1.0", "apache-tvm": "0.27.0"},
    repeats=5,
    spread=0.01,
    baseline=2e-5,
    features=(1.0, 2.5),
)


def trials(count: int) -> list[Trial]:
    """Different candidates, the first one the slowest."""
    return [
        replace(TRIAL, candidate={"rows": number}, value=1e-5 * (count - number)) for number in range(count)
    ]
