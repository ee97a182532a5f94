"""The memory plan: no overlap, aligned, close to the lower bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.tensor import TensorInfo
from edgecompile.lower.memory import Interval, arena_intervals, live_bytes, plan_memory
from edgecompile.lower.program import Alias, Program, Step

ALIGN = 16


@st.composite
def intervals(draw: st.DrawFn) -> list[Interval]:
    count = draw(st.integers(0, 25))
    result = []
    for index in range(count):
        first = draw(st.integers(0, 20))
        last = first + draw(st.integers(0, 8))
        result.append(Interval(f"b{index}", draw(st.integers(0, 5000)), first, last))
    return result


@given(intervals())
def test_buffers_that_live_together_never_overlap(buffers: list[Interval]) -> None:
    plan = plan_memory(buffers, ALIGN)
    sized = [b for b in buffers if b.nbytes]
    for buffer in sized:
        assert plan.offsets[buffer.name] % ALIGN == 0
        assert plan.offsets[buffer.name] + buffer.nbytes <= plan.arena_bytes
    for a in sized:
        for b in sized:
            if a.name < b.name and a.first <= b.last and b.first <= a.last:
                start_a, start_b = plan.offsets[a.name], plan.offsets[b.name]
                assert start_a + a.nbytes <= start_b or start_b + b.nbytes <= start_a


@given(intervals())
def test_arena_is_at_least_the_bound_and_at_most_everything(buffers: list[Interval]) -> None:
    plan = plan_memory(buffers, ALIGN)
    rounded = sum(-(-b.nbytes // ALIGN) * ALIGN for b in buffers)
    assert plan.lower_bound <= plan.arena_bytes <= rounded


def test_a_chain_of_layers_needs_two_neighbouring_buffers() -> None:
    chain = [Interval(f"t{i}", 1000 * (i % 3 + 1), i, i + 1) for i in range(12)]
    plan = plan_memory(chain, 8)
    assert plan.arena_bytes == plan.lower_bound == 5000


def test_bytes_are_in_use_at_both_ends_of_an_interval() -> None:
    assert live_bytes([Interval("a", 10, 0, 1), Interval("b", 20, 1, 2)]) == (10, 30, 20)
    assert live_bytes([Interval("a", 10, 0, 0), Interval("b", 20, 2, 2)]) == (10, 0, 20)
    assert live_bytes([]) == ()
    assert plan_memory([], 16).lower_bound == 0


def _program(
    steps: tuple[Step, ...], sizes: dict[str, int], aliases: dict[str, Alias] | None = None
) -> Program:
    values = {name: TensorInfo(name, (size,), "uint8") for name, size in sizes.items()}
    return Program((), (), (), values, aliases or {}, {}, steps)


def test_elementwise_result_takes_over_its_dying_input() -> None:
    steps = (
        Step("make", (), (), ("a",)),
        Step("relu", (), ("a",), ("b",), in_place=(0,)),
        Step("use", (), ("b",), ("c",)),
    )
    buffers, reused = arena_intervals(_program(steps, {"a": 64, "b": 64, "c": 8}), {"c"})
    assert reused == {"b": "a"}
    assert buffers == [Interval("a", 64, 0, 2)]


def test_an_input_that_is_read_later_is_not_overwritten() -> None:
    steps = (
        Step("make", (), (), ("a",)),
        Step("relu", (), ("a",), ("b",), in_place=(0,)),
        Step("add", (), ("a", "b"), ("c",), in_place=(0, 1)),
    )
    _, reused = arena_intervals(_program(steps, {"a": 64, "b": 64, "c": 64}), set())
    assert reused == {"c": "a"}


def test_a_value_alive_through_an_alias_is_not_overwritten() -> None:
    steps = (
        Step("make", (), (), ("a",)),
        Step("relu", (), ("a",), ("b",), in_place=(0,)),
        Step("use", (), ("view", "b"), ("c",)),
    )
    program = _program(steps, {"a": 64, "b": 64, "c": 8, "view": 64}, {"view": Alias("a", 0)})
    _, reused = arena_intervals(program, set())
    assert reused == {}


def test_a_buffer_of_the_caller_is_never_overwritten() -> None:
    steps = (Step("relu", (), ("x",), ("b",), in_place=(0,)), Step("use", (), ("b",), ("y",)))
    buffers, reused = arena_intervals(_program(steps, {"x": 64, "b": 64, "y": 64}), {"x", "y"})
    assert reused == {}
    assert [b.name for b in buffers] == ["b"]
