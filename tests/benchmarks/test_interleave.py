"""Taking turns, on a clock that only moves when a contestant is called."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.interleave import calls_per_sample, geometric_mean, interleave, ratio


class FakeMachine:
    """A clock in nanoseconds, and contestants that take time on it; `log` is who was called."""

    def __init__(self) -> None:
        self.now = 0
        self.slowness = 1
        self.log: list[str] = []

    def clock(self) -> int:
        return self.now

    def contestant(self, name: str, nanoseconds: int) -> Callable[[], None]:
        def call() -> None:
            self.now += nanoseconds * self.slowness
            self.log.append(name)

        return call

    def turns(self) -> list[str]:
        """Who was called, one entry for each run of calls of the same contestant."""
        return [name for index, name in enumerate(self.log) if index == 0 or self.log[index - 1] != name]


@pytest.mark.parametrize(("call_ns", "expected"), [(1_000, 20_000), (3_000_000, 7), (90_000_000, 1)])
def test_a_sample_lasts_about_as_long_as_asked(call_ns: int, expected: int) -> None:
    machine = FakeMachine()
    call = machine.contestant("net", call_ns)
    assert calls_per_sample(call, machine.clock, 20_000_000, warm_up_ns=10_000_000) == expected


def test_the_first_slow_calls_do_not_count() -> None:
    machine = FakeMachine()

    def call() -> None:
        machine.now += 1_000 if machine.now > 5_000_000 else 1_000_000

    assert calls_per_sample(call, machine.clock, 20_000_000, warm_up_ns=10_000_000) == 20_000


def test_a_call_that_takes_no_measurable_time_ends() -> None:
    machine = FakeMachine()

    def clock() -> int:
        machine.now += 1
        return machine.now

    assert calls_per_sample(lambda: None, clock, 100, warm_up_ns=10) >= 1


def test_times_are_microseconds_of_one_call_a_round() -> None:
    machine = FakeMachine()
    contestants = {"ours": machine.contestant("ours", 2_000), "peer": machine.contestant("peer", 5_000)}
    times = interleave(contestants, 3, machine.clock, sample_ns=100_000, warm_up_ns=1)
    assert times == {"ours": [2.0] * 3, "peer": [5.0] * 3}


def test_every_second_round_goes_backwards() -> None:
    machine = FakeMachine()
    contestants = {name: machine.contestant(name, 1_000) for name in ("a", "b", "c")}
    interleave(contestants, 3, machine.clock, sample_ns=1_000, warm_up_ns=1)
    # One call each to calibrate, then the rounds; neighbours that are the same melt into one turn.
    assert "".join(machine.turns()) == "abc" + "abc" + "ba" + "bc"


def test_a_slow_spell_of_the_machine_cancels_in_the_ratio() -> None:
    machine = FakeMachine()
    ours, peer = machine.contestant("ours", 2_000), machine.contestant("peer", 4_000)
    rounds = 0

    def slowing() -> None:
        nonlocal rounds
        rounds += 1
        machine.slowness = 3 if 2 <= rounds <= 3 else 1
        ours()

    times = interleave({"ours": slowing, "peer": peer}, 4, machine.clock, sample_ns=1_000, warm_up_ns=1)
    assert len(set(times["ours"])) == 2
    assert ratio(times["ours"], times["peer"]).median == 0.5


def test_ratio_is_the_median_over_rounds_with_quartiles() -> None:
    found = ratio([1.0, 2.0, 3.0, 4.0, 50.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    assert found.median == 3.0
    assert found.quartiles == (2.0, 4.0)


def test_ratio_compares_within_rounds_only() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_twice_and_half_have_mean_one() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
