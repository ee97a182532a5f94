"""Tasks whose candidates have a known cost, so that a search can be judged without a device."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from edgecompile.tuning.record import Workload
from edgecompile.tuning.task import Task

Array = np.ndarray[Any, Any]


def made_up_task(seed: int) -> tuple[Task, Array]:
    """A task of about 1300 candidates and what each costs: a valley, a cliff, and some noise.

    Where the valley lies depends on the task's own size, which is one of the features.
    """
    chance = np.random.default_rng(seed)
    size = float(chance.uniform(2, 5))
    knobs = list(product(range(1, 15), range(1, 9), range(12)))
    rows, columns, block = np.array(knobs, np.float32).T
    registers = rows * columns + columns
    valley = 1 + 0.04 * (rows - 1.5 * size) ** 2 + 0.1 * (columns - 4) ** 2 + 0.02 * (block - size) ** 2
    costs = valley * np.where(registers > 30, 3.0, 1.0) * chance.uniform(0.97, 1.03, len(knobs)) * size
    features = np.stack([rows, columns, block, registers, np.full_like(rows, size)], axis=1)
    names = ("rows", "columns", "block")
    candidates = [dict(zip(names, values, strict=True)) for values in knobs]
    return Task(Workload({"op": "made up", "size": size}), candidates, features), costs
