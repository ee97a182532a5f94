"""Input shapes on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.errors import UsageError
from edgecompile.frontend.options import parse_input_shape, parse_input_shapes


@given(st.text(min_size=1), st.lists(st.integers(0, 10**6), max_size=5).map(tuple))
def test_any_name_and_shape_come_back(name: str, shape: tuple[int, ...]) -> None:
    text = f"{name}:{','.join(map(str, shape))}"
    assert parse_input_shape(text) == (name, shape)


def test_names_with_colons() -> None:
    assert parse_input_shape("serving_default_x:0:1,49,10") == ("serving_default_x:0", (1, 49, 10))


@pytest.mark.parametrize("text", ["x", "x:1,a", "x:1;2", ":1,2", "", "x:-1,3", "x:1,,2", "x:1,2,"])
def test_unreadable_shape_shows_the_line_to_type(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_input_shape(text)
    message = str(caught.value)
    assert message.startswith(f"error[EC2101] cannot read the input shape '{text}' at '--input'")
    assert "write it like --input x:1,3,224,224" in message


def test_every_bad_value_is_listed() -> None:
    with pytest.raises(UsageError) as caught:
        parse_input_shapes(["x:1,2", "y", "x:1,3", "z:q"])
    assert [problem.code for problem in caught.value.problems] == ["EC2101", "EC2102", "EC2101"]
    assert "it is both (1, 2) and (1, 3)" in str(caught.value)


def test_same_value_twice_is_fine() -> None:
    assert parse_input_shapes(["x:1,2", "x:1,2"]) == {"x": (1, 2)}
