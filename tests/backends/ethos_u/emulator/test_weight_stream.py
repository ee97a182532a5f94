"""What Vela's encoder compresses comes back, and damaged streams are errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.weight_stream import decompress
from tests.support.ethos_u import Array, needs_vela

pytestmark = needs_vela
Make = Callable[[np.random.Generator, int], Array]
# Distributions for which the encoder chooses other modes.
KINDS: dict[str, Make] = {
    "uniform": lambda rng, n: rng.integers(-255, 256, n),
    "normal": lambda rng, n: np.rint(rng.normal(0, rng.uniform(0.3, 60), n)),
    "sparse": lambda rng, n: rng.integers(-255, 256, n) * (rng.random(n) < rng.random()),
    "few values": lambda rng, n: rng.choice(rng.integers(-255, 256, rng.integers(1, 40)), n),
    "one value": lambda rng, n: np.full(n, rng.integers(-255, 256)),
    "changing": lambda rng, n: np.concatenate(
        [rng.integers(-99, 99, n), np.zeros(n), rng.choice([5, -7], n)]
    ),
}


def _compressed(weights: Array) -> bytes:
    from ethosu import mlw_codec

    return bytes(mlw_codec.encode(weights.astype(int).tolist()))


@given(
    kinds=st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=3),
    size=st.integers(1, 3000),
    seed=st.integers(0, 2**32 - 1),
)
def test_weights_come_back(kinds: list[str], size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = [KINDS[kind](rng, size).clip(-255, 255) for kind in kinds]
    found = decompress(b"".join(map(_compressed, weights)))
    np.testing.assert_array_equal(found, np.concatenate(weights))


def test_more_than_one_slice() -> None:
    weights = np.random.default_rng(0).integers(-9, 9, 70_000)
    np.testing.assert_array_equal(decompress(_compressed(weights)), weights)


def test_no_weights() -> None:
    assert decompress(b"\xff" * 16).size == 0


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (bytes(3), "their stream ends in the middle of a slice"),
        (bytes([0b100]) + bytes(15), "ZDIV is 4"),
    ],
)
def test_damage(stream: bytes, why: str) -> None:
    with pytest.raises(Fault, match=r"the weights are damaged") as caught:
        decompress(stream)
    assert why in caught.value.why
