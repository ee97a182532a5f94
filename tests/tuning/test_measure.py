"""What figures say when devices and candidates misbehave."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.errors import DeviceError
from tests.support.scripted import CRASH, HANG, Scripted, meter, trials

TIMES = [1000.0, 800.0, 1200.0]


def test_figures_are_those_of_the_ordinary_inputs() -> None:
    outcomes = meter(Scripted(TIMES)).measure(trials(3))
    assert {index: outcome.value for index, outcome in outcomes.items()} == pytest.approx(
        {0: 1e-6, 10: 0.8e-6, 20: 1.2e-6}
    )
    assert {outcome.baseline for outcome in outcomes.values()} == {1e-6}
    assert {outcome.repeats for outcome in outcomes.values()} == {19}


@pytest.mark.parametrize("code", [CRASH, HANG])
@pytest.mark.parametrize("talkative", [True, False])
def test_only_the_candidate_that_ends_the_program_fails(code: str, talkative: bool) -> None:
    device = Scripted(TIMES, ends={1: code}, talkative=talkative)
    outcomes = meter(device).measure(trials(3))
    assert [outcomes[index].failure for index in (0, 10, 20)] == [
        None,
        "crash" if code == CRASH else "timeout",
        None,
    ]
    assert outcomes[20].value == pytest.approx(1.2e-6)


def test_a_hang_costs_one_time_out_where_it_is_known_who_hangs() -> None:
    device = Scripted(TIMES, ends={1: HANG})
    meter(device).measure(trials(3))
    # The built-in candidate alone, all, and all without the one.
    assert [sum(request.inputs[:3]) for request in device.requests] == [1, 3, 2]


def test_time_outs_follow_from_what_the_built_in_candidate_took() -> None:
    device = Scripted(TIMES)
    meter(device, timeout_s=77.0).measure(trials(3))
    assert [request.timeout_s for request in device.requests] == [77.0, pytest.approx(5.0, abs=0.5)]


@pytest.mark.parametrize("set_", [0, 1])
def test_a_wrong_result_is_no_figure(set_: int) -> None:
    """Also from the inputs that nothing is measured with."""
    outcomes = meter(Scripted(TIMES, wrong=frozenset({2}), wrong_sets=(set_,))).measure(trials(3))
    assert (outcomes[20].value, outcomes[20].failure) == (None, "wrong")
    assert outcomes[10].value


def test_a_device_that_gets_slow_changes_nothing() -> None:
    """Ten times as slow from the middle of a round on."""
    slowing = Scripted(TIMES, lambda candidate, round_: 10.0 if (round_, candidate) >= (9, 1) else 1.0)
    outcomes = meter(slowing).measure(trials(3))
    gains = {index: (outcome.value or 0) / (outcome.baseline or 1) for index, outcome in outcomes.items()}
    assert gains == pytest.approx({0: 1.0, 10: 0.8, 20: 1.2})


def test_a_bad_clock_is_read_again_and_then_is_no_figure() -> None:
    chance = np.random.default_rng(0)
    device = Scripted(TIMES, lambda candidate, round_: chance.uniform(0.5, 1.5))
    outcomes = meter(device).measure(trials(3))
    assert [outcomes[index].failure for index in (0, 10, 20)] == [None, "noisy", "noisy"]
    assert outcomes[0].value
    assert [request.repeats for request in device.requests] == [20] * 4


def test_a_clock_that_is_a_little_bad_is_read_again() -> None:
    chance = np.random.default_rng(0)
    device = Scripted(TIMES, lambda candidate, round_: chance.normal(1.0, 0.11))
    outcomes = meter(device).measure(trials(3))
    assert outcomes[10].value == pytest.approx(0.8e-6, rel=0.1)
    assert outcomes[10].repeats > 19
    assert outcomes[10].spread > 0.05


def test_a_device_on_which_the_built_in_kernel_fails_is_not_to_be_trusted() -> None:
    with pytest.raises(DeviceError, match=r"EC7010.*does not run on the device.*ended with: timeout"):
        meter(Scripted(TIMES, ends={0: HANG})).measure(trials(3))


def test_a_device_that_computes_something_else_is_not_to_be_trusted() -> None:
    device = Scripted(TIMES)
    one = meter(device)
    one.measure(trials(3))
    device.wrong = frozenset({0})
    with pytest.raises(DeviceError, match=r"EC7011.*computed something else than before"):
        one.measure(trials(3))
    # It was asked too often to know when it was right: the next result is the new one.
    assert one.measure(trials(3))[0].value
