"""Quantized operators, converted to integers, give the very integers of TFLite's reference kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.backends.pipeline import optimize
from edgecompile.core.target import find_target
from edgecompile.frontend.tflite.importer import load_tflite
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.frontend.tflite.cases import all_cases, resize_case, unary_case
from tests.frontend.tflite.net import Case
from tests.support.tflite_files import needs_tflite, reference

# Where our integers may be one step away from TFLite's, and why.
DIFFERENT = {
    "MEAN": "TFLite folds the division into the multiplier, we round it by itself",
    "PRELU": "computed in float: it has no integer operator",
    "SQUARED_DIFFERENCE": "computed in float",
    "SUM": "computed in float",
}
# An activation function that clamps more than the quantization is fused to these in no pass yet.
UNFUSED = ("SUB", "MUL")


def _is_exact(case: Case) -> bool:
    unfused = case.kinds[0] in UNFUSED and "relu" in case.name
    return not unfused and not any(kind in DIFFERENT for kind in case.kinds)


CASES = [case for case in all_cases() if "int8" in case.name]


# Functions of one element: options of the operator, parameters of the result where TFLite fixes them.
FUNCTIONS: dict[str, tuple[str, dict[str, Any], tuple[float, int] | None]] = {
    "ABS": ("", {}, None),
    "ELU": ("", {}, None),
    "HARD_SWISH": ("", {}, None),
    "LEAKY_RELU": ("LeakyReluOptions", {"Alpha": 0.1}, None),
    "LOGISTIC": ("", {}, (1 / 256, -128)),
    "QUANTIZE": ("QuantizeOptions", {}, None),
    "RELU6": ("", {}, None),
    "SOFTMAX": ("SoftmaxOptions", {"Beta": 1.0}, (1 / 256, -128)),
    "TANH": ("", {}, (1 / 128, 0)),
}


@needs_tflite
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_at_any_scale(kind: str, tmp_path: Path) -> None:
    """All 256 integers, under random scales and zero points."""
    generator = np.random.default_rng(5)
    options, fields, fixed = FUNCTIONS[kind]
    data = np.arange(-128, 128).astype(np.int8).reshape(4, 64)
    for _ in range(20):
        scales = np.exp(generator.uniform(np.log(0.005), np.log(0.3), 2)).astype(np.float32)
        zeros = generator.integers(-128, 128, 2)
        before, after = ((float(s), int(z)) for s, z in zip(scales, zeros, strict=True))
        case = unary_case("int8", kind, options, fixed or after, (4, 64), before, **fields)
        path = tmp_path / "net.tflite"
        path.write_bytes(case.data)
        model, _ = optimize(load_tflite(path), find_target("cortex-m4"))
        (got,), (want,) = Interpreter(model).run({"x0": data}), reference(case.data)(data)
        np.testing.assert_array_equal(got, want, f"{before} to {after}")


@needs_tflite
@pytest.mark.parametrize(("corners", "half"), [(False, False), (True, False), (False, True)])
def test_bilinear_of_any_size(corners: bool, half: bool, tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    for _ in range(12):
        sizes = generator.integers(1, 60, 2).tolist()
        case = resize_case("int8", "RESIZE_BILINEAR", sizes, corners, half)
        path = tmp_path / "net.tflite"
        path.write_bytes(case.data)
        model, _ = optimize(load_tflite(path), find_target("cortex-m4"))
        assert "ResizeLinear" in [node.op_type for node in model.graph.graph]
        (data,) = case.arrays(1)
        (got,), (want,) = Interpreter(model).run({"x0": data}), reference(case.data)(data)
        np.testing.assert_array_equal(got, want, str(sizes))


@needs_tflite
@pytest.mark.parametrize("target", ["cortex-m4", "host"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_integers_are_those_of_tflite(case: Case, target: str, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(case.data)
    model, _ = optimize(load_tflite(path), find_target(target))
    network, run = Interpreter(model), reference(case.data, optimized="SUM" in case.kinds)
    for seed in range(3):
        arrays = case.arrays(seed)
        feeds = {info.name: array for info, array in zip(model.inputs, arrays, strict=True)}
        for got, want in zip(network.run(feeds), run(*arrays), strict=True):
            difference = np.abs(got.astype(np.float64) - want.astype(np.float64)).max()
            assert difference <= (0 if _is_exact(case) else 1)
