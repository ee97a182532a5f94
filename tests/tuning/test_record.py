"""Lines of records: what is written comes back, and what is damaged is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.tuning.record import Record, Trial, Workload, canonical, decode, encode
from tests.support.records import TRIAL, WORKLOAD

_VALUES = st.one_of(st.none(), st.floats(1e-9, 1e9))


@given(value=_VALUES, spread=st.floats(0, 1), knobs=st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_trial_comes_back(value: float | None, spread: float, knobs: dict[str, int | str]) -> None:
    trial = replace(TRIAL, candidate=knobs, value=value, spread=spread)
    if value is None:
        trial = replace(trial, failure="crash", spread=0.0, repeats=1)
    assert decode(encode(trial)) == trial


def test_a_workload_comes_back() -> None:
    assert decode(encode(WORKLOAD)) == WORKLOAD


def test_a_key_does_not_depend_on_the_order_of_fields() -> None:
    shuffled = Workload(dict(reversed(list(WORKLOAD.description.items()))))
    assert shuffled.key == WORKLOAD.key
    assert Workload(dict(WORKLOAD.description) | {"k": 3}).key != WORKLOAD.key


def test_a_key_is_the_same_in_every_version() -> None:
    assert Workload({"op": "Conv", "k": [3, 3]}).key.startswith("e229e3cfb736")


@pytest.mark.parametrize("record", [TRIAL, WORKLOAD])
def test_any_changed_byte_is_noticed(record: Record) -> None:
    line = encode(record)
    for place in range(len(line) - 1):
        damaged = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
        with pytest.raises(ValueError, match=r"it is no record|its checksum is wrong"):
            decode(damaged)


@pytest.mark.parametrize(
    ("trial", "why"),
    [
        (replace(TRIAL, value=None), "do not go together"),
        (replace(TRIAL, failure="crash"), "do not go together"),
        (replace(TRIAL, metric="apples"), "do not go together"),  # type: ignore[arg-type]
    ],
)
def test_records_that_say_nothing_are_refused(trial: Trial, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(encode(trial))


def test_a_value_that_is_no_number_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))
