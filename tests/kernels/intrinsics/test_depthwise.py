from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecompile.core.target import Isa
from edgecompile.kernels.intrinsics.depthwise import depthwise_kernel
from tests.support.execute import execute
from tests.support.integer_nodes import conv_node
from tests.support.on_target import assembly, isa_of

_NODE = conv_node((1, 9, 8, 37), (37, 1, 3, 3), "double", group=37, pads=[1, 0, 1, 2], strides=[2, 1])


def test_the_instruction_set_and_the_weights_decide() -> None:
    a72, x86 = isa_of("cortex-a72"), isa_of("x86-64")
    assert depthwise_kernel(a72, "int8", -127).name == "paired"
    assert depthwise_kernel(a72, "int8", -128).name == "plain"
    assert depthwise_kernel(a72, "float32").name == "plain"
    assert depthwise_kernel(x86, "uint8", -128).name == "pmaddwd"
    assert depthwise_kernel(replace(x86, intrinsics=False), "uint8").name == "plain"


def test_two_products_of_bytes_are_added_in_16_bits() -> None:
    isa = isa_of("cortex-a72")
    text = assembly(_NODE.call(isa), isa)
    assert text.count("smlal2\tv") > 0
    assert "\tmla\t" not in text


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_x86_multiplies_words(bits: int) -> None:
    cpu = {128: "x86-64", 256: "haswell", 512: "skylake-avx512"}[bits]
    isa = Isa("x86_64-linux-gnu", cpu, 64, vector_bits=bits, int8="pmaddwd")
    text = assembly(_NODE.call(isa), isa)
    assert text.count("pmaddwd") >= 9
    assert "pmulld" not in text


def test_portable_c_computes_the_same_integers() -> None:
    x = _NODE.inputs[0]
    assert x is not None
    (result,) = execute(_NODE.model(), [x], emit="c")
    np.testing.assert_array_equal(result, _NODE.expected)
