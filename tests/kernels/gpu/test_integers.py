"""Integer kernels on the simulated GPU, against the reference in NumPy: no number differs."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.integer import Rounding
from edgecompile.core.model import Model
from tests.support.gpu_networks import check_cases
from tests.support.integer_nodes import IntegerNode, conv_node, gemm_node
from tests.support.operators import Array

ROUNDINGS: tuple[Rounding, ...] = ("single", "double", "float")


def case(node: IntegerNode) -> tuple[Model, list[Array], list[Array]]:
    """A node as `check_cases` takes it."""
    given = [array for array in node.inputs[: node.constants] if array is not None]
    return node.model(), given, [node.expected]


def some_node(draw: random.Random) -> IntegerNode:
    """A convolution, depthwise or not, or a dense layer."""
    rounding, dtype = draw.choice(ROUNDINGS), draw.choice(["int8", "int8", "int16", "uint8"])
    seed, channels = draw.randrange(1000), draw.choice([1, 3, 4, 8, 20])
    if draw.random() < 0.3:
        return gemm_node(
            draw.choice([1, 9, 40]), channels * 7, draw.choice([2, 10, 33]), rounding, dtype, seed
        )
    groups, outputs = draw.choice([1, 1, 2]), draw.choice([2, 5, 16])
    is_depthwise = draw.random() < 0.4
    weights = (channels, 1) if is_depthwise else (outputs * groups, channels)
    return conv_node(
        (1, draw.randint(3, 9), draw.randint(3, 9), channels if is_depthwise else channels * groups),
        (*weights, 3, draw.choice([1, 3])),
        rounding,
        dtype,
        extreme=draw.random() < 0.2,
        seed=seed,
        group=channels if is_depthwise else groups,
        strides=[draw.choice([1, 2]), 1],
        pads=[draw.choice([0, 1]) for _ in range(4)],
    )


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 10**6))
def test_no_integer_differs(seed: int) -> None:
    draw = random.Random(seed)
    nodes = [some_node(draw) for _ in range(14)]
    check_cases({f"{i}: {node.op_type} {node.attributes}": case(node) for i, node in enumerate(nodes)})


def test_many_pixels_of_a_depthwise_convolution() -> None:
    nodes = [
        conv_node((1, 40, 61, 12), (12, 1, 3, 3), group=12, pads=[1, 1, 1, 1]),
        conv_node((1, 41, 62, 20), (20, 1, 5, 5), "double", group=20, strides=[2, 2], pads=[1, 2, 2, 1]),
    ]
    check_cases({str(i): case(node) for i, node in enumerate(nodes)})
