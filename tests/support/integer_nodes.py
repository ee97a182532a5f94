"""Single nodes of domain edgecompile.integer: random ones, what they must compute, and their kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.convenience import convert_attributes

from edgecompile.core.integer import DOMAIN, VERSION, Multiplier, Rounding, sum_shift
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import Isa
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.lower.lower import lower_graph
from edgecompile.passes.quantize.operators import OPERATORS
from tests.support.on_target import Array, Call


@dataclass(frozen=True)
class IntegerNode:
    """A node whose inputs from `constants` on are known at compile time."""

    op_type: str
    inputs: tuple[Array | None, ...]
    attributes: dict[str, Any]
    constants: int = 1

    @property
    def expected(self) -> Array:
        """The integers that the reference interpreter computes."""
        return OPERATORS[self.op_type](list(self.inputs), self.attributes, self._data.dtype)

    @property
    def _data(self) -> Array:
        assert self.inputs[0] is not None
        return self.inputs[0]

    def model(self) -> Model:
        result = self.expected
        values: list[ir.Value | None] = []
        for i, array in enumerate(self.inputs):
            if array is None:
                values.append(None)
            else:
                kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
                known = ir.tensor(array, name=f"x{i}") if i >= self.constants else None
                values.append(
                    ir.Value(name=f"x{i}", type=kind, shape=ir.Shape(array.shape), const_value=known)
                )
        attributes = convert_attributes(self.attributes)
        kind = ir.TensorType(ir.DataType.from_numpy(result.dtype))
        output = ir.Value(name="y", type=kind, shape=ir.Shape(result.shape))
        node = ir.Node(DOMAIN, self.op_type, values, attributes, outputs=[output], name="node")
        given = [value for value in values if value is not None]
        graph = ir.Graph(
            [value for value in given if value.const_value is None],
            [output],
            nodes=[node],
            initializers=[value for value in given if value.const_value is not None],
            opset_imports={"": 22, DOMAIN: VERSION},
            name="test",
        )
        return Model(ir.Model(graph, ir_version=10), Provenance("test", "", 22))

    def call(self, isa: Isa) -> Call:
        """The node's one kernel, scheduled for `isa`."""
        lowered = lower_graph(self.model(), "net", isa)
        (function,) = lowered.functions.values()
        (step,) = lowered.program.steps
        own = {f"x{i}": array for i, array in enumerate(self.inputs) if array is not None}
        arrays = [own[name] if name in own else lowered.program.weights[name] for name in step.reads]
        result = self.expected
        return Call(schedule_default(function, isa), arrays, result.shape, result.dtype.name)


def conv_node(
    shape: Sequence[int],
    weights: Sequence[int],
    rounding: Rounding = "single",
    dtype: str = "int8",
    extreme: bool = False,
    seed: int = 0,
    **attributes: Any,
) -> IntegerNode:
    """ConvNhwc of data [N, *S, C] by weights [O, C/G, *K], random or as far from zero as they can be."""
    random = np.random.default_rng(seed)
    rank = len(weights) - 2
    limits = np.iinfo(dtype)
    x = random.integers(limits.min, limits.max + 1, shape).astype(dtype)
    w = random.integers(-127, 128, weights).astype("int8")
    if extreme:
        x, w = np.full(shape, random.choice([limits.min, limits.max]), dtype), np.full(weights, -127, "int8")
        w[::2] = 127
    x_zero = zero_of(random, limits)
    factors, bias, width = result_of(random, w.reshape(w.shape[0], -1), x_zero, rounding, limits)
    options = {
        "x_zero": x_zero,
        "group": 1,
        "kernel_shape": list(weights[2:]),
        "strides": [1] * rank,
        "dilations": [1] * rank,
        "pads": [0] * (2 * rank),
        **width,
        **scalars_of(random, limits, rounding),
    }
    node = (x, w, bias, factors.multiplier, factors.shift)
    return IntegerNode("ConvNhwc", node, {**options, **attributes})


def gemm_node(
    m: int, k: int, n: int, rounding: Rounding = "single", dtype: str = "int8", seed: int = 0
) -> IntegerNode:
    """Gemm of x [m, k] and w [n, k]."""
    random = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    x = random.integers(limits.min, limits.max + 1, (m, k)).astype(dtype)
    w = random.integers(-127, 128, (n, k)).astype("int8")
    x_zero = zero_of(random, limits)
    factors, bias, width = result_of(random, w, x_zero, rounding, limits)
    scalars = {"x_zero": x_zero, **width, **scalars_of(random, limits, rounding)}
    return IntegerNode("Gemm", (x, w, bias, factors.multiplier, factors.shift), scalars)


def result_of(
    random: np.random.Generator, rows: Array, x_zero: int, rounding: Rounding, limits: Any
) -> tuple[Multiplier, Array, dict[str, int]]:
    """Factors that bring sums over `rows` [N, K] to the width of `limits`, and a bias with the zero point.

    The last is the attribute of a node whose sums need 64 bits.
    """
    n, k = rows.shape
    sums = np.abs(rows.astype(np.int64)).sum(1)
    shift = sum_shift(int(sums.max()) * 32768 + 2000) if limits.max > 255 else 0
    factors = random.uniform(0.3, 1.0, n) * 80 / (73 * 73 * np.sqrt(k)) * 2.0**shift
    bias = random.integers(-2000, 2000, n) - x_zero * rows.astype(np.int64).sum(1)
    width = {"sum_shift": shift} if shift else {}
    return Multiplier.of(factors, rounding), bias.astype(np.int64 if shift else np.int32), width


def zero_of(random: np.random.Generator, limits: Any) -> int:
    """Any zero point of 8 bits; that of 16 bits is 0."""
    return 0 if limits.max > 255 else int(random.integers(limits.min, limits.max + 1))


def scalars_of(random: np.random.Generator, limits: Any, rounding: Rounding) -> dict[str, Any]:
    """A zero point, and a clamp that is only sometimes tighter than the element type."""
    y_zero = 0 if limits.max > 255 else int(random.integers(limits.min + 60, limits.max - 60))
    lo = y_zero if random.integers(2) else int(limits.min)
    return {"y_zero": y_zero, "lo": lo, "hi": int(limits.max), "rounding": rounding}


def table_of_lines(function: Callable[[Array], Array]) -> Array:
    """The table of a function on [-4, 4] with results in [-1, 1], for int16."""
    real = np.rint(function(np.linspace(-4, 4, 513)) * 32768)
    return np.asarray(np.clip(real, -32768, 32767), np.int16)
