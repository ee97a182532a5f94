"""Where values live: caller buffers, weights, arena."""

from __future__ import annotations

import numpy as np

from edgecompile.core.tensor import TensorInfo
from edgecompile.lower.program import Alias, Program, Step
from edgecompile.lower.storage import Location, assign_storage


def _info(name: str, elements: int) -> TensorInfo:
    return TensorInfo(name, (elements,), "float32")


def _program() -> Program:
    weights = {
        "w": np.arange(5, dtype=np.float32),
        "same": np.arange(5, dtype=np.float32),
        "unused": np.ones(9, np.float32),
    }
    sizes = {"x": 8, "t": 8, "view": 4, "u": 4, "y": 4, "w": 5, "same": 5}
    steps = (
        Step("first", ("a",), ("x", "w"), ("t",), workspace=40),
        Step("second", ("b",), ("view", "same"), ("u",)),
        Step("third", ("c",), ("u",), ("y",)),
    )
    values = {name: _info(name, size) for name, size in sizes.items()}
    aliases = {"view": Alias("t", 16)}
    return Program((values["x"],), (values["y"],), ("y",), values, aliases, weights, steps)


def test_borders_are_the_callers_and_the_rest_is_arena() -> None:
    storage = assign_storage(_program(), 16)
    assert storage.locate("x") == Location("input", 0, 0)
    assert storage.locate("y") == Location("output", 0, 0)
    assert storage.locate("t").region == "arena"
    assert storage.locate_workspace(0).region == "arena"


def test_an_alias_is_an_offset_into_its_base() -> None:
    storage = assign_storage(_program(), 16)
    assert storage.locate("view").offset == storage.locate("t").offset + 16


def test_equal_weights_are_stored_once_and_unread_ones_not_at_all() -> None:
    storage = assign_storage(_program(), 16)
    assert storage.locate("w") == storage.locate("same") == Location("weights", 0, 0)
    assert storage.weights == np.arange(5, dtype=np.float32).tobytes()


def test_workspace_counts_in_the_arena() -> None:
    plan = assign_storage(_program(), 16).plan
    assert plan.lower_bound == 32 + 48  # t and the first step's workspace
    assert plan.arena_bytes == plan.lower_bound
