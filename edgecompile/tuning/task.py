"""One kernel to tune: what it computes, and all candidates for computing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecompile.tuning.record import Json, Workload

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Task:
    """A workload and its design space.

    `candidates` are values of the knobs; the first one is the default, which every other is compared with.
    `features` [candidates, features] float32 are what the cost model sees of them. `weight` is how often a
    network executes the kernel.
    """

    workload: Workload
    candidates: Sequence[Json]
    features: Array
    weight: int = 1
