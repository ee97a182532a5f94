"""Automatic padding is written as numbers that mean the same."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecompile.passes.explicit_padding import ExplicitPadding
from tests.support.passes import graph, node_of, proven, unchanged, weights

MODES = st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"])


@settings(max_examples=40, deadline=None)
@given(
    operator=st.sampled_from(["Conv", "MaxPool", "AveragePool"]),
    mode=MODES,
    length=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
)
def test_windows(operator: str, mode: str, length: int, kernel: int, stride: int) -> None:
    output = -(-length // stride) if mode != "VALID" else (length - kernel) // stride + 1
    # runtimes disagree where strides jump over the end
    assume(output > 0 and (mode == "VALID" or (output - 1) * stride + kernel >= length))
    weight = ", w" if operator == "Conv" else ""
    attributes = f'auto_pad = "{mode}", kernel_shape = [{kernel}], strides = [{stride}]'
    body = f"y = {operator} <{attributes}> (x{weight})"
    signature = f"float[1,2,{length}] x => float[1,2,{output}] y"
    result = proven(ExplicitPadding(), graph(signature, body, weights(w=(2, 2, kernel))))
    assert "auto_pad" not in node_of(result.model, operator).attributes


@settings(max_examples=25, deadline=None)
@given(mode=MODES, length=st.integers(1, 5), kernel=st.integers(1, 4), stride=st.integers(1, 3))
def test_transposed_convolutions(mode: str, length: int, kernel: int, stride: int) -> None:
    full = stride * (length - 1) + kernel
    output = full if mode == "VALID" else length * stride
    assume(output <= full)
    body = f'y = ConvTranspose <auto_pad = "{mode}", strides = [{stride}]> (x, w)'
    signature = f"float[1,2,{length}] x => float[1,3,{output}] y"
    proven(ExplicitPadding(), graph(signature, body, weights(w=(2, 3, kernel))))


@pytest.mark.parametrize("size", [5, 6, 7])
def test_output_shape(size: int) -> None:
    body = f"y = ConvTranspose <output_shape = [{size}], strides = [2]> (x, w)"
    before = graph(f"float[1,2,3] x => float[1,3,{size}] y", body, weights(w=(2, 3, 3)))
    after = proven(ExplicitPadding(), before).model
    assert sum(node_of(after, "ConvTranspose").attributes.get_ints("pads", ())) == 7 - size


def test_numbers_are_kept() -> None:
    body = "y = Conv <pads = [1,1]> (x, w)"
    unchanged(ExplicitPadding(), graph("float[1,2,5] x => float[1,2,5] y", body, weights(w=(2, 2, 3))))
