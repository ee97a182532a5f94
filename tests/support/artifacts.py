"""A small artifact without compiled code, and a device that computes in this process instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompile.core.artifact import Artifact, Manifest, MemoryFigures, StepInfo, seal_artifact
from edgecompile.core.device import Metric, Platform, RunRequest, RunResult
from edgecompile.core.target import find_target
from edgecompile.core.tensor import TensorInfo
from edgecompile.execute import pack, unpack

Array = np.ndarray[Any, Any]

INPUT = TensorInfo("x", (1, 4), "float32")
HIDDEN = TensorInfo("hidden", (1, 3), "float32")
OUTPUT = TensorInfo("y", (1, 3), "float32")
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 10 - 0.5
SAMPLES = 5


def hidden_of(x: Array) -> Array:
    return x @ WEIGHT


def network_of(x: Array) -> Array:
    """What the artifact's network computes: relu(x @ WEIGHT)."""
    return np.maximum(hidden_of(x), 0)


def build_artifact(folder: Path) -> Artifact:
    """relu(x @ WEIGHT) for the host as an artifact with two steps, golden vectors and no library."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["hidden"], name="/fc"),
        helper.make_node("Relu", ["hidden"], ["y"], name="/relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, INPUT.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, OUTPUT.shape)],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    x = np.random.default_rng(0).standard_normal((SAMPLES, *INPUT.shape)).astype(np.float32)
    np.savez(folder / "golden.npz", in_0=x, out_0=network_of(x), noise_0=np.asarray(1e-7))
    onnx.checker.check_model(model)
    manifest = Manifest(
        name="net",
        target="host",
        inputs=(INPUT,),
        outputs=(OUTPUT,),
        memory=MemoryFigures(arena=12, arena_lower_bound=12, weights=48, flash=400),
        align=16,
        entry="net_run",
        steps=(StepInfo("net_fc", ("/fc",), (HIDDEN,)), StepInfo("net_relu", ("/relu",), (OUTPUT,))),
        emit="lib",
        tools={},
        model_sha256="",
    )
    (folder / "report.json").write_text('{"source": "net.onnx", "notes": ["batch bound to 1"]}')
    return Artifact(folder, seal_artifact(folder, manifest, find_target("host")))


class InProcessDevice:
    """Computes `network` and `hidden` here; `requests` is what it was asked."""

    name = "here"
    metric: Metric = "seconds"
    platform: Platform | None = None

    def __init__(
        self,
        network: Callable[[Array], Array] = network_of,
        hidden: Callable[[Array], Array] = hidden_of,
        level: str = "executed-on-device",
    ) -> None:
        self.network, self.hidden, self.level = network, hidden, level
        self.requests: list[RunRequest] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def health(self) -> str:
        return "this process"

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        (x,) = unpack((INPUT,), request.inputs, request.samples)
        hidden, y = self.hidden(x), self.network(x)
        trace = pack((HIDDEN, OUTPUT), (hidden[-1:], y[-1:])) if request.trace else b""
        runs = request.samples * request.repeats
        return RunResult(
            pack((OUTPUT,), (y,)),
            nanoseconds=tuple(range(1000, 1000 * (runs + 1), 1000)),
            instructions=4321 if request.count_instructions else None,
            step_nanoseconds=(700, 300) if request.trace else (),
            step_instructions=(4000, 321) if request.trace and request.count_instructions else (),
            trace=trace,
        )


def install_device(monkeypatch: Any, device: InProcessDevice) -> None:
    """Let everything execute on `device`, without building a program."""

    def build_nothing(
        artifact: Artifact, target: object, toolchain: object, output: Path, *more: object
    ) -> Path:
        return output

    def open_this(spec: str | None, target: object) -> InProcessDevice:
        return device

    monkeypatch.setattr("edgecompile.execute.open_device", open_this)
    monkeypatch.setattr("edgecompile.execute.build_runner", build_nothing)
