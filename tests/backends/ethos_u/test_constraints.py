"""Networks that the NPU cannot compute are refused before Vela sees them, with every reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.ethos_u.backend import configuration, ethos_u_passes
from edgecompile.backends.ethos_u.constraints import TABLE
from edgecompile.backends.ethos_u.partition import refusals
from edgecompile.backends.tflite.export import check_quantized
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import find_target, load_targets
from edgecompile.errors import UnsupportedError
from tests.support.integer_networks import ROWS, X
from tests.support.networks import small_cnn
from tests.support.operators import normal
from tests.support.quantized import as_model, one_operator

_STEPS = [np.array(numbers) for numbers in ((0,), (9,), (1,), (2,))]
REFUSED: dict[str, tuple[Callable[[], Model], str]] = {
    "strides": (lambda: _conv(strides=[4, 4], pads=[1, 1, 1, 1]), "strides are at most 3"),
    "function": (lambda: one_operator("Mish", [ROWS]), "Mish cannot be computed by ethos-u55-128"),
    "factor": (lambda: _resize(3), "one factor of 2, 4 or 8"),
    "steps": (
        lambda: one_operator("Slice", [ROWS, *_STEPS], constants=[1, 2, 3, 4]),
        "Steps are larger than 1 along .* Fix: give the data four axes",
    ),
    "indices": (
        lambda: one_operator("Gather", [ROWS, np.array([3, 1])], constants=[1], axis=0),
        "constant indices are of neighbours, in order. Fix: use Slice",
    ),
    "window": (
        lambda: one_operator("MaxPool", [normal(1, 1, 300, 2)], kernel_shape=[300, 1]),
        "at most 256 high",
    ),
}


def _conv(**window: Any) -> Model:
    return one_operator("Conv", [normal(1, 4, 20, 20), normal(4, 4, 3, 3)], "int8", {1: 0}, **window)


def _resize(factor: int) -> Model:
    scales = np.array([1, 1, factor, factor], np.float32)
    return one_operator("Resize", [X, np.zeros(0, np.float32), scales], constants=[1, 2])


def check(model: Model, name: str = "ethos-u55-128") -> None:
    """Raise what `compile` does for `model`."""
    target = find_target(name)
    prepared, _ = Pipeline(ethos_u_passes()).run(model)
    check_quantized(prepared, name)
    refused = refusals(prepared, configuration(target), target)
    if refused:
        raise UnsupportedError(*(problem for problems in refused.values() for problem in problems))


@pytest.mark.parametrize("name", REFUSED)
def test_the_reason_is_given(name: str) -> None:
    network, reason = REFUSED[name]
    with pytest.raises(UnsupportedError, match=rf"EC4542\].*{reason}"):
        check(network())


def test_an_ethos_u85_has_fewer_limits() -> None:
    for name in ("strides", "indices"):
        check(REFUSED[name][0](), "ethos-u85-256")


def test_a_float_network_has_to_be_quantized() -> None:
    with pytest.raises(UnsupportedError, match=r"EC4543\].*Fix: quantize it first: edgecompile quantize"):
        check(as_model(small_cnn()))


def test_the_table_lists_what_networks_have() -> None:
    names = {row[0] for row in TABLE.rows()}
    assert {"Conv", "Gemm", "Softmax", "HardSwish", "Transpose"} < names


def test_every_ethos_u_is_described() -> None:
    targets = [target for target in load_targets().values() if target.backend == "ethos-u"]
    assert len(targets) == 11
    for target in targets:
        npu = configuration(target)
        assert (
            target.name
            == f"{npu.architecture[:5].lower()}-{npu.architecture[5:].lower()}-{npu.macs * npu.cores}"
        )
        assert target.codegen.rounding == "double"
