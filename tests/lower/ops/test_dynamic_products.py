"""MatMulInteger by constant weights, and what follows it in dynamically quantized networks, by target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecompile.core.fused import DOMAIN
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import Isa
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.lower.lower import LoweredGraph, lower_graph
from edgecompile.passes.fold_constants import FoldConstants
from tests.support.on_target import Array, Call, isa_of, run_calls
from tests.support.operators import check_node, compiled, expect, node_model, normal

_Kind = Literal["vnni", "pmaddwd", ""]
_SIZES = [1, 2, 3, 7, 16, 17, 33, 64, 100]
_NODES = {
    "MatMulInteger": helper.make_node("MatMulInteger", ["a", "w", "z"], ["total"], name="product"),
    "Cast": helper.make_node("Cast", ["total"], ["real"], name="cast", to=TensorProto.FLOAT),
    "Mul": helper.make_node("Mul", ["real", "factors"], ["scaled"], name="scale"),
    "Add": helper.make_node("Add", ["scaled", "bias"], ["sum"], name="bias"),
    "Relu": helper.make_node("Relu", ["sum"], ["result"], name="relu"),
}


class Product:
    """(a - z) w for random bytes a [*shape], w [K, N]; with `scaled`, relu(product * factors + bias)."""

    def __init__(self, shape: tuple[int, ...], columns: int, dtype: str, seed: int, scaled: bool) -> None:
        random, limits = np.random.default_rng(seed), np.iinfo(dtype)
        self.scaled = scaled
        self.a = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        self.w = random.integers(-127, 127, (shape[-1], columns), np.int8, endpoint=True)
        self.inputs: dict[str, Array] = {
            "a": self.a,
            "z": random.integers(limits.min, limits.max, (), dtype, endpoint=True),
        }
        if scaled:
            self.inputs["factors"] = random.uniform(1e-4, 1e-3, columns).astype(np.float32)
        self.bias = random.standard_normal(columns).astype(np.float32)

    @property
    def expected(self) -> Array:
        total = (self.a.astype(np.int64) - int(self.inputs["z"])) @ self.w.astype(np.int64)
        if not self.scaled:
            return total.astype(np.int32)
        real = total.astype(np.float64) * self.inputs["factors"] + self.bias
        return np.maximum(real, 0).astype(np.float32)

    def lowered(self, isa: Isa) -> LoweredGraph:
        nodes = list(_NODES.values())[: None if self.scaled else 1]
        shape = self.expected.shape
        kind = helper.np_dtype_to_tensor_dtype(self.expected.dtype)
        graph = helper.make_graph(
            nodes,
            "test",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
                for name, x in self.inputs.items()
            ],
            [helper.make_tensor_value_info(nodes[-1].output[0], kind, shape)],
            [numpy_helper.from_array(self.w, "w"), numpy_helper.from_array(self.bias, "bias")],
        )
        message = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        model = FoldConstants()(Model(ir.from_proto(message), Provenance("test", "", 22))).model
        return lower_graph(model, "net", isa)

    def call(self, isa: Isa) -> Call:
        """The one kernel of it."""
        lowered = self.lowered(isa)
        (function,), (step,) = lowered.functions.values(), lowered.program.steps
        arrays = [
            self.inputs[name] if name in self.inputs else lowered.program.weights[name] for name in step.reads
        ]
        return Call(schedule_default(function, isa), arrays, self.expected.shape, self.expected.dtype.name)


@st.composite
def products(draw: st.DrawFn, dtype: str) -> Product:
    """Rows in one or several axes, sizes that fill no tile."""
    rows = draw(st.sampled_from([(1,), (2,), (5,), (30,), (1, 9), (2, 3)]))
    depth, columns = draw(st.sampled_from(_SIZES)), draw(st.sampled_from(_SIZES))
    return Product((*rows, depth), columns, dtype, draw(st.integers(0, 1000)), draw(st.booleans()))


def check(target: str, cases: list[Product], isa: Isa) -> None:
    """Integers must be exact, real numbers as good as single precision is."""
    outcomes = run_calls(target, [case.call(isa) for case in cases], isa)
    for case, outcome in zip(cases, outcomes, strict=True):
        if case.scaled:
            np.testing.assert_allclose(outcome.result, case.expected, rtol=1e-6, atol=1e-5)
        else:
            np.testing.assert_array_equal(outcome.result, case.expected)


@pytest.mark.parametrize(("kind", "dtype"), [("vnni", "uint8"), ("pmaddwd", "uint8"), ("", "int8")])
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_products_on_the_host(kind: _Kind, dtype: str, data: Any) -> None:
    isa = isa_of("host")
    if kind == "vnni" and isa.int8 != "vnni":
        pytest.skip("this CPU has no VNNI")
    isa = replace(isa, int8=kind) if kind else replace(isa, int8="", vector_bits=128, intrinsics=False)
    check("host", [data.draw(products(dtype))], isa)


@pytest.mark.parametrize("target", ["cortex-a72", "cortex-a76", "cortex-a715"])
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_products_on_arm(target: str, data: Any) -> None:
    """Several kernels a program, because starting the emulator takes longer than they do."""
    check(target, [data.draw(products("int8")) for _ in range(8)], isa_of(target))


@pytest.mark.parametrize(
    ("isa", "dtype", "kernel"),
    [
        ("x86-64-vnni", "uint8", "vnni"),
        ("cortex-a72", "int8", "smull"),
        ("cortex-a76", "int8", "sdot"),
        ("cortex-a715", "int8", "smmla"),
    ],
)
def test_products_and_all_that_follows_are_one_planned_kernel(isa: str, dtype: str, kernel: str) -> None:
    chosen = (
        Isa("x86_64-linux-gnu", "znver5", 64, vector_bits=512, registers=32, int8="vnni")
        if isa == "x86-64-vnni"
        else isa_of(isa)
    )
    lowered = Product((4, 64), 32, dtype, 0, scaled=True).lowered(chosen)
    (step,), (function,) = lowered.program.steps, lowered.functions.values()
    assert step.layers == ("product", "cast", "scale", "bias", "relu")
    assert f'\\"kernel\\": \\"{kernel}\\"' in str(function)


@pytest.mark.parametrize("zeros", [np.int8(0), np.zeros(9, np.int8)])
def test_a_weight_zero_point_of_zero_says_nothing(zeros: Array) -> None:
    random = np.random.default_rng(0)
    a, w = random.integers(0, 256, (5, 33)).astype(np.uint8), random.integers(-127, 128, (33, 9))
    check_node(
        "MatMulInteger", [a, w.astype(np.int8), np.array(200, np.uint8), np.asarray(zeros)], constants=(1, 3)
    )


def test_one_zero_point_a_row() -> None:
    random = np.random.default_rng(0)
    a, w = random.integers(0, 256, (5, 33)).astype(np.uint8), random.integers(-127, 128, (33, 9))
    inputs = [a, w.astype(np.int8), random.integers(0, 256, 5).astype(np.uint8)]
    expected = ((a - inputs[2].astype(np.int64)[:, None]) @ w).astype(np.int32)
    (result,) = compiled(node_model("MatMulInteger", inputs, constants=(1,)), inputs, [expected])
    np.testing.assert_array_equal(result, expected)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_convolutions_of_any_geometry(data: Any) -> None:
    """The padding holds a zero point that is only known at run time."""
    draw = data.draw
    group, depthwise = draw(st.sampled_from([1, 1, 2])), draw(st.booleans())
    channels, outputs = draw(st.sampled_from([1, 3, 16])), draw(st.sampled_from([1, 5, 16, 33]))
    of = (16, 1) if depthwise else (outputs * group, channels)
    kernel, strides, dilations = ([draw(st.integers(1, most)) for _ in "yx"] for most in (3, 2, 2))
    pads = [draw(st.integers(0, 3)) for _ in range(4)]
    sizes = [draw(st.integers((k - 1) * d + 1, 9)) for k, d in zip(kernel, dilations, strict=True)]
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    x = random.integers(0, 256, (2, *sizes, 16 if depthwise else channels * group)).astype(np.uint8)
    w = random.integers(-127, 128, (*of, *kernel)).astype(np.int8)
    inputs = [x, w, np.array(random.integers(0, 256), np.uint8)]
    window: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
    }
    groups = 16 if depthwise else group
    model = node_model("ConvIntegerNhwc", inputs, (1,), domain=DOMAIN, group=groups, **window)
    expected = expect(model, inputs, "onnxruntime")
    np.testing.assert_array_equal(compiled(model, inputs, expected)[0], expected[0])


@pytest.mark.parametrize("emit", ["lib", "c"])
@pytest.mark.parametrize("shape", [(), (1,), (7, 33), (2, 3, 40), (197, 64)])
@pytest.mark.parametrize("sign", [1, -1, 0])
def test_dynamic_quantization_is_onnxruntimes(shape: tuple[int, ...], sign: int, emit: str) -> None:
    """Ranges on both sides of 0, on one side of it, and nothing but 0."""
    x = normal(*shape) * 3
    for values in [x] if sign == 1 else [-np.abs(x), np.abs(x)] if sign else [x * 0]:
        check_node(
            "DynamicQuantizeLinear", [np.asarray(values, np.float32)], outputs=("y0", "y1", "y2"), emit=emit
        )


def test_dynamic_quantization_rounds_half_to_even() -> None:
    """Scale 1 and zero point 0: numbers between two integers go to the even one."""
    x = np.array([0, 255, 0.5, 1.5, 2.5, 3.5, 253.5, 254.5], np.float32)
    check_node("DynamicQuantizeLinear", [x], outputs=("y0", "y1", "y2"))
    shifted = x - np.float32(100.5)
    check_node("DynamicQuantizeLinear", [shifted], outputs=("y0", "y1", "y2"))
