"""ncnn, by way of pnnx, its own converter from ONNX."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleave import Call

Array = np.ndarray[Any, Any]

_CONVERT_S = 120
# Of the largest magnitude of a result; what differs more was converted into another network.
_TOLERANCE = 1e-3


class Ncnn:
    """Float32 throughout: by itself it would store float16 and bfloat16."""

    name = "ncnn"
    module = "ncnn"

    def reads(self, path: Path) -> bool:
        return path.suffix == ".onnx" and not _is_quantized(path)

    def prepare(self, path: Path, inputs: Mapping[str, Array], threads: int) -> Call:
        """Convert, load, and compare with onnxruntime. Raises RuntimeError for what ncnn cannot do."""
        import ncnn

        with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as name:
            folder = _convert(path, inputs, Path(name))
            net = ncnn.Net()
            net.opt.num_threads = threads
            for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
                setattr(net.opt, f"use_{option}", False)
            param, weights = str(folder / "net.ncnn.param"), str(folder / "net.ncnn.bin")
            if net.load_param(param) or net.load_model(weights):
                raise RuntimeError("ncnn cannot load what pnnx made of this network")
        # It has no batches: the first axis, which is 1, is left out.
        arrays = [ncnn.Mat(np.ascontiguousarray(array[0])).clone() for array in inputs.values()]
        named = list(zip(net.input_names(), arrays, strict=True))
        names = net.output_names()

        def call() -> list[Any]:
            extractor = net.create_extractor()
            for name, array in named:
                extractor.input(name, array)
            return [extractor.extract(name)[1] for name in names]

        _compare(path, inputs, [np.array(result) for result in call()])
        return call


def _convert(path: Path, inputs: Mapping[str, Array], folder: Path) -> Path:
    """Write net.ncnn.param and net.ncnn.bin to `folder`."""
    found = importlib.util.find_spec("pnnx")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("pnnx is not installed")
    program = Path(found.submodule_search_locations[0]) / "pnnx"
    (folder / "net.onnx").write_bytes(path.read_bytes())
    kinds = {"float32": "f32", "int64": "i64", "int32": "i32"}
    shapes = ",".join(
        f"[{','.join(map(str, array.shape))}]{kinds.get(array.dtype.name, 'f32')}"
        for array in inputs.values()
    )
    command = [str(program), "net.onnx", "fp16=0", f"inputshape={shapes}".replace(" ", "")]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_CONVERT_S)
    if result.returncode:
        raise RuntimeError("pnnx cannot convert this network")
    return folder


def _compare(path: Path, inputs: Mapping[str, Array], results: list[Array]) -> None:
    import onnxruntime as ort

    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for got, expected in zip(results, session.run(None, dict(inputs)), strict=True):
        scale = float(np.abs(expected).max(initial=0.0)) or 1.0
        agrees = got.size == expected.size and np.allclose(
            got.reshape(-1), expected.reshape(-1), rtol=0.0, atol=_TOLERANCE * scale
        )
        if not agrees:
            raise RuntimeError("ncnn computes something else")


def _is_quantized(path: Path) -> bool:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return any(node.op_type in ("DequantizeLinear", "QLinearConv") for node in graph.node)
