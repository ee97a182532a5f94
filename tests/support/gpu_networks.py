"""Many small networks on the simulated GPU, in one build of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from tvm import tirx

from edgecompile.backends.cuda.simulator.build import build_simulator
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import Cuda
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.schedule import schedule_for_gpu
from edgecompile.lower.build_gpu import gpu_isa
from edgecompile.lower.cuda import CudaSource, generate_cuda
from edgecompile.lower.lower import LoweredGraph, lower_graph
from tests.support.gpu import SimulatedDriver
from tests.support.operators import Array, assert_close, expect, node_model

GPU = Cuda("sm_87", 8)


def node_case(
    op_type: str, inputs: Sequence[Array | None], reference: Any = "onnxruntime", **description: Any
) -> tuple[Model, list[Array], list[Array]]:
    """One node: (network, inputs, outputs by the reference); arguments as for `check_node`."""
    model = node_model(op_type, inputs, **description)
    expected = expect(model, inputs, reference)
    given = [inputs[int(value.name[1:])] for value in model.graph.input]
    return typed(model, expected), [array for array in given if array is not None], expected


def typed(model: onnx.ModelProto, outputs: Sequence[Array]) -> Model:
    """`model` with the shapes and types of its outputs."""
    described = onnx.ModelProto()
    described.CopyFrom(model)
    for value, like in zip(described.graph.output, outputs, strict=True):
        kind = onnx.helper.np_dtype_to_tensor_dtype(like.dtype)
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, list(like.shape)))
    return Model(ir.from_proto(described), Provenance("test", "", model.opset_import[0].version))


def check_cases(cases: Mapping[str, tuple[Model, list[Array], list[Array]]], rtol: float = 1e-5) -> None:
    """Execute all cases on the simulated GPU, and compare results; a failure names all wrong ones."""
    lowered = {
        f"c{i}": lower_graph(model, f"c{i}", gpu_isa(GPU)) for i, (model, *_) in enumerate(cases.values())
    }
    wrong = []
    with simulated(lowered) as (driver, source):
        for graph, (name, (_, inputs, expected)) in zip(lowered.values(), cases.items(), strict=True):
            results = execute(driver, source, graph, inputs)
            try:
                for got, want in zip(results, expected, strict=True):
                    assert_close(got, want, rtol)
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
    assert not wrong, "\n".join(wrong)


@contextmanager
def simulated(graphs: Mapping[str, LoweredGraph]) -> Iterator[tuple[SimulatedDriver, CudaSource]]:
    """The simulated GPU with the kernels of all `graphs`, whose symbols begin with different names."""
    functions = {symbol: f for graph in graphs.values() for symbol, f in graph.functions.items()}
    with simulated_functions(functions) as both:
        yield both


@contextmanager
def simulated_functions(
    functions: Mapping[str, tirx.PrimFunc],
) -> Iterator[tuple[SimulatedDriver, CudaSource]]:
    """The simulated GPU with `functions` by symbol, scheduled for it."""
    source = generate_cuda(
        {symbol: schedule_for_gpu(f, Gpu(GPU.multiprocessors)) for symbol, f in functions.items()},
        GPU.architecture,
    )
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as folder:
        library = build_simulator(source.text, GPU.architecture, Path(folder))
        driver = SimulatedDriver(library, source.text, GPU.architecture)
        try:
            yield driver, source
        finally:
            driver.close()


def execute(
    driver: SimulatedDriver, source: CudaSource, graph: LoweredGraph, inputs: Sequence[Array]
) -> list[Array]:
    """Outputs of a network. Memory begins as garbage, and no kernel may write what it reads."""
    program = graph.program
    memory: dict[str, Array] = {name: _bytes_of(array) for name, array in program.weights.items()}
    memory |= {info.name: _bytes_of(array) for info, array in zip(program.inputs, inputs, strict=True)}

    def locate(name: str) -> Array:
        place, nbytes = program.resolve(name), program.values[name].nbytes
        whole = memory.setdefault(place.base, np.full(program.values[place.base].nbytes, 0xA5, np.uint8))
        return whole[place.offset : place.offset + nbytes]

    for step in program.steps:
        arrays = [locate(name) for name in (*step.reads, *step.writes)]
        copied = [arrays[0], arrays[0]]
        results = driver.run(source.kernels[step.symbol], arrays) if step.symbol else copied
        for place, (array, result) in enumerate(zip(arrays, results, strict=True)):
            assert place >= len(step.reads) or np.array_equal(array, result), (
                "a kernel wrote over what it reads"
            )
            array[:] = result
    outputs = zip(program.outputs, program.output_owners, strict=True)
    return [
        locate(owner).view(info.dtype).reshape(info.shape).copy()
        if owner
        else np.empty(info.shape, info.dtype)
        for info, owner in outputs
    ]


def _bytes_of(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).copy()
