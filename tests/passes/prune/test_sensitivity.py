"""What the outputs suffer when a group has fewer units."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.errors import InputError
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.sensitivity import OutputError, as_record, block_record, measure_curves
from tests.passes.prune.importance.networks import dense, noise
from tests.passes.prune.traps import TRAPS

rng = np.random.default_rng(4)


def test_the_error_is_relative_to_what_the_outputs_vary() -> None:
    first, second = rng.standard_normal((4, 3)), rng.standard_normal((3, 5))
    model, silent = (dense(first, np.ones(3), weights) for weights in (second, 0 * second))
    error = OutputError(model, noise(model, 100))
    assert error(model) == 0.0
    assert 0.9 < error(silent) < 5


def test_no_samples_and_no_numbers_are_refused() -> None:
    model = dense(np.ones((4, 3)), np.ones(3), np.ones((3, 5)))
    with pytest.raises(InputError, match=r"EC3522.*no calibration samples.*100 or more are usual"):
        OutputError(model, [])
    endless = dense(np.full((4, 3), np.inf), np.ones(3), np.ones((3, 5)))
    with pytest.raises(InputError, match="EC3520"):
        OutputError(endless, noise(model, 1))


def test_fewer_units_are_never_better() -> None:
    damage = {("g", 3): 0.2, ("g", 2): 0.1, ("g", 1): 0.4}
    group = Group("g", 4, "channels", ())
    curves = measure_curves([group], lambda *place: damage[place], 1, lambda task, done, total: None)
    assert curves == {"g": {4: 0.0, 3: 0.2, 2: 0.2, 1: 0.4}}
    (row,) = as_record([group], curves)
    assert (row["name"], row["units"], row["errors"]) == ("g", [4, 3, 2, 1], [0.0, 0.2, 0.2, 0.4])


def test_blocks_are_there_or_not() -> None:
    model = TRAPS["residual"]()
    (row,) = block_record(model, OutputError(model, noise(model, 2)))
    assert (row["name"], row["units"]) == ("Add4", [1, 0])
    assert row["errors"][1] > 0  # type: ignore[index]
