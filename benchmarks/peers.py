"""Other runtimes, each as a function of no arguments that runs one inference on inputs already in place."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.interleave import Call
from benchmarks.peer_ncnn import Ncnn

Array = np.ndarray[Any, Any]


class Peer(Protocol):
    """A runtime: its `name`, and the importable `module` that it is installed as."""

    name: str
    module: str

    def reads(self, path: Path) -> bool:
        """Whether it takes this kind of file."""

    def prepare(self, path: Path, inputs: Mapping[str, Array], threads: int) -> Call:
        """Load `path` for `threads` threads and place `inputs` (in the network's order)."""


class OnnxRuntime:
    """All graph optimizations on, inputs and outputs bound: no copies and no allocation per call.

    A network of another format is measured as the ONNX graph that our frontend makes of it.
    """

    name = "onnxruntime"
    module = "onnxruntime"

    def reads(self, path: Path) -> bool:
        return True

    def prepare(self, path: Path, inputs: Mapping[str, Array], threads: int) -> Call:
        return self.bind(path.read_bytes() if path.suffix == ".onnx" else _as_onnx(path), inputs, threads)

    def bind(self, model: bytes, inputs: Mapping[str, Array], threads: int) -> Call:
        """One inference of the ONNX file with these bytes."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Its threads must not keep spinning while another contestant is measured.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        results = session.run(None, dict(inputs))
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, _owned(array))
        for info, result in zip(session.get_outputs(), results, strict=True):
            binding.bind_ortvalue_output(info.name, _owned(result))
        return partial(session.run_with_iobinding, binding)


def _owned(array: Array) -> Any:
    """A copy in onnxruntime's own memory: a value made from an array would not keep that alive."""
    import onnxruntime as ort

    value = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, "cpu")
    value.update_inplace(array)
    return value


class OpenVino:
    """One stream, and the precision of the network: by itself it would compute floats in bfloat16."""

    name = "openvino"
    module = "openvino"

    def reads(self, path: Path) -> bool:
        return path.suffix in (".onnx", ".tflite")

    def prepare(self, path: Path, inputs: Mapping[str, Array], threads: int) -> Call:
        import openvino

        core = openvino.Core()
        model = core.read_model(str(path))
        arrays = list(inputs.values())
        model.reshape({port: list(array.shape) for port, array in zip(model.inputs, arrays, strict=True)})
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, openvino.Tensor(array))
        request.infer()
        call: Call = request.infer
        return call


class LiteRt:
    """The reader of .tflite files, with its XNNPACK delegate, which it uses by itself."""

    name = "litert"
    module = "ai_edge_litert"

    def reads(self, path: Path) -> bool:
        return path.suffix == ".tflite"

    def prepare(self, path: Path, inputs: Mapping[str, Array], threads: int) -> Call:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
        for detail, array in zip(interpreter.get_input_details(), inputs.values(), strict=True):
            interpreter.set_tensor(detail["index"], array)
        call: Call = interpreter.invoke
        return call


PEERS: tuple[Peer, ...] = (OnnxRuntime(), OpenVino(), LiteRt(), Ncnn())


def installed_peers() -> list[str]:
    """Names of the runtimes that can be imported here; onnxruntime is always one."""
    return [peer.name for peer in PEERS if importlib.util.find_spec(peer.module) is not None]


def identity_network() -> bytes:
    """The smallest ONNX file that runs: what a call of it takes is what calling takes."""
    from onnx import TensorProto, helper

    value, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def _as_onnx(path: Path) -> bytes:
    from edgecompile.frontend.load import import_model

    return import_model(str(path)).to_bytes()
