"""Weights come back from the order in which Vela's own encoder puts them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.weights import Order, decode_weights
from tests.support.ethos_u import Array, needs_vela

pytestmark = needs_vela


def _encoded(weights: Array, order: Order) -> bytes:
    """`weights`: [outputs, kernel y, kernel x, inputs]."""
    from ethosu import mlw_codec

    encoded, _ = mlw_codec.reorder_encode(
        8,
        order.micro_block,
        weights,
        order.block,
        order.is_depthwise,
        order.is_part_kernel,
        16 if order.is_wide else 8,
        8 // order.dilation[0],
        8 // order.dilation[1],
    )
    return bytes(encoded)


@settings(max_examples=60)
@given(
    kernel=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    outputs=st.integers(1, 40),
    inputs=st.integers(1, 50),
    block=st.integers(1, 4).map(lambda count: 8 * count),
    micro_block=st.sampled_from([4, 8]),
    kind=st.sampled_from(["depth first", "part kernel", "depthwise"]),
    is_wide=st.booleans(),
)
def test_order(
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    outputs: int,
    inputs: int,
    block: int,
    micro_block: int,
    kind: str,
    is_wide: bool,
) -> None:
    is_depthwise = kind == "depthwise"
    inputs = 1 if is_depthwise else inputs
    flags = is_depthwise, kind == "part kernel", is_wide
    order = Order(kernel, dilation, outputs, inputs, block, micro_block, *flags)
    weights = np.random.default_rng(0).integers(-255, 256, (outputs, *kernel, inputs)).astype(np.int16)
    decoded = decode_weights(_encoded(weights, order), order)
    np.testing.assert_array_equal(decoded, weights.transpose(1, 2, 3, 0))


@pytest.mark.parametrize(
    ("outputs", "what"), [(64, "there are too few weights"), (8, "there are too many weights")]
)
def test_another_number_of_weights(outputs: int, what: str) -> None:
    order = Order((1, 1), (1, 1), 16, 8, 8, 8, False, False, False)
    stream = _encoded(np.ones((16, 1, 1, 8), np.int16), order)
    with pytest.raises(Fault, match=what):
        decode_weights(stream, replace(order, outputs=outputs))
