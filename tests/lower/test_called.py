"""Integer layers for a Cortex-M: one call of a C function each, and a library that has those functions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest

from edgecompile.backends.pipeline import optimize
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.model import Model
from edgecompile.core.target import find_target
from edgecompile.kernels.cortex_m.calls import sources
from edgecompile.lower.codegen import llvm_target
from edgecompile.lower.lower import LoweredGraph, lower_graph
from edgecompile.lower.tir import called_functions, lower_to_c_abi
from edgecompile.verify import verify_artifact
from tests.fakes.build import target_or_skip
from tests.support.quantized import QuantizedGraph

TARGET = find_target("cortex-m4")


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _network() -> Model:
    """Every kind of called layer: two convolutions around a depthwise one, a sum, a matrix product."""
    graph = QuantizedGraph()

    def conv(data: str, *shape: int, **attributes: object) -> str:
        result = graph.node("Conv", [data, graph.weights(_random(*shape))], **attributes)
        return graph.quantized(graph.node("Relu", [result]))

    first = conv(graph.input(_random(1, 3, 9, 8)), 8, 3, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    deep = conv(first, 8, 1, 3, 3, group=8, pads=[1, 1, 1, 1])
    last = conv(deep, 8, 8, 1, 1)
    total = graph.quantized(graph.node("Add", [first, last]))
    flat = graph.node("Flatten", [total])
    return graph.model(graph.quantized(graph.node("Gemm", [flat, graph.weights(_random(160, 5), axis=1)])))


def _lowered(model: Model) -> LoweredGraph:
    return lower_graph(optimize(model.copy(), TARGET)[0], "net", TARGET.isa)


def test_each_layer_is_one_call() -> None:
    lowered = _lowered(_network())
    called = {
        tuple(sorted(called_functions(lowered.functions[step.symbol]))): step
        for step in lowered.program.steps
        if step.symbol and called_functions(lowered.functions[step.symbol])
    }
    names = ("add", "conv", "depthwise", "gemm")
    assert sorted(called) == [(f"edgecompile_{name}_s8",) for name in names]
    assert all(len(step.layers) == 1 for step in called.values())


def test_a_sum_may_overwrite_either_operand() -> None:
    lowered = _lowered(_network())
    (step,) = [s for s in lowered.program.steps if any("Add" in layer for layer in s.layers)]
    assert step.in_place == (0, 1)


def test_other_ranks_and_targets_are_not_called() -> None:
    graph = QuantizedGraph()
    volume = graph.node("Conv", [graph.input(_random(1, 2, 4, 4, 4)), graph.weights(_random(3, 2, 2, 2, 2))])
    model = graph.model(graph.quantized(volume))
    assert not any(called_functions(f) for f in _lowered(model).functions.values())
    other = find_target("cortex-a72")
    functions = lower_graph(optimize(_network(), other)[0], "net", other.isa).functions
    assert not any(called_functions(f) for f in functions.values())


def test_the_sources_are_those_of_the_functions() -> None:
    isa = TARGET.isa
    needed = [path.name for path in sources({"edgecompile_add_s8", "expf"}, isa)]
    assert needed == ["armv7em.h", "armv7em_add.c", "armv7em_requantize.c", "kernels.h"]
    assert all(path.is_file() for path in sources({f"edgecompile_{n}_s8" for n in ("conv", "gemm")}, isa))
    assert sources({"expf"}, isa) == ()
    assert sources({"edgecompile_add_s8"}, find_target("cortex-a72").isa) == ()


@pytest.mark.parametrize("emit", ["lib", "c"])
def test_the_artifact_computes_the_integers(emit: Literal["lib", "c"], tmp_path: Path) -> None:
    target = target_or_skip("cortex-m4")
    onnx.save(onnx.load_from_string(_network().to_bytes()), tmp_path / "net.onnx")
    options = CompileOptions(target, emit=emit)
    result = compile_model(str(tmp_path / "net.onnx"), options, tmp_path / "net.edge")
    names = {path.name for path in (result.artifact.path / "src").iterdir()}
    assert {"armv7em_conv.c", "armv7em.h", "kernels.h"} <= names if emit == "c" else len(names) == 1
    assert verify_artifact(result.artifact).verification.max_error == 0.0


def test_the_workspace_of_a_call_is_the_callers() -> None:
    lowered = _lowered(_network())
    callers = {symbol: f for symbol, f in lowered.functions.items() if called_functions(f)}
    interfaces = lower_to_c_abi(callers, llvm_target(TARGET.isa)).interfaces
    bytes_of = {symbol.rpartition("_")[2]: interface.workspace for symbol, interface in interfaces.items()}
    # A row of 160 int16 for the product; the sum needs none.
    assert (bytes_of["gemm"], bytes_of["add"]) == (320, 0)
    assert all(0 < nbytes < 1024 for name, nbytes in bytes_of.items() if name != "add")
