from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.errors import UnsupportedError
from tests.support.operators import Array, check_node, compiled, node_model, normal


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(("constant", "edge", "reflect", "wrap")), st.data())
def test_modes(mode: str, data: st.DataObject) -> None:
    extents = data.draw(st.lists(st.integers(2, 6), min_size=1, max_size=3))
    low = -1 if mode == "constant" else 0
    pads = [data.draw(st.integers(low, extent - 1)) for extent in extents + extents]
    fill = np.array(0.5, np.float32) if mode == "constant" else None
    inputs = [normal(*extents), np.array(pads, np.int64), fill]
    check_node("Pad", inputs, "onnx" if mode == "wrap" else "onnxruntime", constants={1}, mode=mode)


def test_some_axes() -> None:
    inputs = [normal(3, 4, 5), np.array([1, 2, 0, 1], np.int64), None, np.array([-1, 0], np.int64)]
    check_node("Pad", inputs, constants={1, 3})


def test_reflection_of_one_element() -> None:
    inputs = [normal(1), np.array([0, 0], np.int64)]
    check_node("Pad", inputs, constants={1}, mode="reflect")


def test_integers_and_a_default_of_zero() -> None:
    inputs: list[Array | None] = [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.array([1, 0, 0, 2], np.int64),
    ]
    check_node("Pad", inputs, constants={1})


def test_unknown_mode_is_refused() -> None:
    inputs = [normal(3), np.array([1, 0], np.int64)]
    with pytest.raises(UnsupportedError, match=r"mode 'mirror' is not known.*Fix: use constant, edge"):
        compiled(node_model("Pad", inputs, constants={1}, mode="mirror"), inputs, [normal(4)])
