"""What the HTP cannot compute is refused before Qualcomm's compiler sees it, with every reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.find import find_constraints
from edgecompile.backends.qualcomm.backend import configuration
from edgecompile.backends.qualcomm.constraints import TABLE
from edgecompile.core.model import Model
from edgecompile.core.target import find_target, load_targets
from edgecompile.errors import UnsupportedError
from tests.support.integer_networks import ROWS, X
from tests.support.networks import small_cnn
from tests.support.operators import normal
from tests.support.qualcomm import prepared
from tests.support.quantized import as_model, one_operator
from tests.support.transformers import encoder

_PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])
REFUSED: dict[str, tuple[Callable[[], Model], str]] = {
    "operator": (
        lambda: one_operator("CumSum", [ROWS, np.asarray(1)], constants=[1]),
        "none of its operators",
    ),
    "16 bits": (lambda: one_operator("Relu", [ROWS], "int16"), "Quantized tensors are uint8"),
    "axes": (
        lambda: one_operator("Transpose", [normal(2, 1, 3, 2, 2, 2)], perm=[0, 2, 1, 3, 5, 4]),
        "at most five axes",
    ),
    "dilated": (
        lambda: one_operator("MaxPool", [X], kernel_shape=[3, 3], dilations=[2, 2]),
        "Windows are not dilated",
    ),
    "volume": (
        lambda: one_operator("MaxPool", [normal(1, 2, 4, 4, 4)], kernel_shape=[2, 2, 2]),
        "one or two spatial axes",
    ),
    "ceil": (
        lambda: one_operator("AveragePool", [X], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        "end inside of the image: there is no ceil_mode. Fix: pad the image instead",
    ),
    "padding": (
        lambda: one_operator("Pad", [X, _PADS], constants=[1], mode="wrap"),
        "constant, reflected, or repeats the edge",
    ),
    "alpha": (
        lambda: one_operator("Gemm", [ROWS, normal(24, 7)], "int8", {1: 1}, alpha=0.5),
        "The factors alpha and beta are 1",
    ),
    "axis": (
        lambda: one_operator(
            "LayerNormalization", [X, np.ones((8, 9, 9), np.float32)], constants=[1], axis=1
        ),
        "The last axis is normalized",
    ),
}


def check(model: Model, name: str = "hexagon-v73") -> None:
    """Raise what `compile` does for `model`."""
    target = find_target(name)
    TABLE.check(prepared(model).graph.graph, configuration(target), target.name)


@pytest.mark.parametrize("name", REFUSED)
def test_the_reason_is_given(name: str) -> None:
    network, reason = REFUSED[name]
    with pytest.raises(UnsupportedError, match=rf"EC4590\].* cannot be computed by hexagon-v73.*{reason}"):
        check(network())


def test_v68_has_no_floats() -> None:
    with pytest.raises(
        UnsupportedError, match=r"EC4590\].*On v68 .*Fix: quantize the layer as well"
    ) as caught:
        check(as_model(encoder(1)), "hexagon-v68")
    assert caught.value.exit_code == 4
    check(as_model(encoder(1)), "hexagon-v69")


def test_v68_pads_with_zero() -> None:
    window: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    with pytest.raises(UnsupportedError, match=r"EC4590\] MaxPool .*where padding counts as 0"):
        check(one_operator("MaxPool", [X], **window), "hexagon-v68")
    check(one_operator("MaxPool", [X], **window), "hexagon-v69")
    check(one_operator("MaxPool", [abs(X)], **window), "hexagon-v68")


def test_all_reasons_are_given_at_once() -> None:
    with pytest.raises(UnsupportedError) as caught:
        check(as_model(small_cnn()), "hexagon-v68")
    assert len(caught.value.problems) > 3


def test_the_table_lists_what_networks_have() -> None:
    assert find_constraints(find_target("hexagon-v73")) is TABLE
    names = {row[0] for row in TABLE.rows()}
    assert {"Conv", "Gemm", "Softmax", "HardSwish", "LayerNormalization"} < names


def test_targets_and_phones_name_an_architecture() -> None:
    versions = [t.hexagon.architecture for t in load_targets().values() if t.hexagon is not None]
    assert sorted(versions) == [68, 69, 73, 75, 79, 81]
    assert find_target("snapdragon-8-gen2").name == "hexagon-v73"
    assert find_target("sm8650").name == "hexagon-v75"
