"""Networks on Arm's Ethos-U: integers in its emulator that are not the interpreter's, Vela's estimates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from benchmarks.accuracy_tasks import zoo
from benchmarks.markdown import markdown_table
from benchmarks.networks import SHAPES
from benchmarks.npu_work import Array, Arrays, Row, Run, Work, executing, read_model
from edgecompile.backends.ethos_u.execute import EMULATOR
from edgecompile.core.artifact import report_json
from edgecompile.core.model import Model
from edgecompile.core.store import sha256_hex
from edgecompile.core.tensor import TensorInfo
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter

PART = "ethos-u"
TARGETS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256")
_INPUTS = 100
# Networks, and how many random inputs they are executed on. Files of TensorFlow Lite are quantized by others.
CASES: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        (
            "kws_dscnn.onnx",
            "vww_mobilenet.onnx",
            "ic_resnet8.onnx",
            "ad_autoencoder.onnx",
            "mnist_cnn.onnx",
            "resnet20_cifar10.onnx",
            "ppocr_angle_cls.onnx",
            "ad01_int8.tflite",
            "ic_resnet8_int8.tflite",
            "kws_ref_int8.tflite",
            "str_ww_int8.tflite",
            "vww_96_int8.tflite",
        ),
        _INPUTS,
    )
    | {"mobilenetv2_imagenet.onnx": 5}
)
# Noise to calibrate with: whether integers are equal does not depend on what they mean.
_CALIBRATION = range(4)
_FIRST = 1000


def networks() -> Sequence[str]:
    """The names of all that are measured."""
    return [file.partition(".")[0] for file in CASES]


def measure(work: Work, network: str) -> Iterator[Row]:
    """A row for each NPU."""
    file = next(file for file in CASES if file.partition(".")[0] == network)
    path = zoo() / "models" / file
    if path.suffix == ".onnx":
        imported = work.imported(network, str(path), SHAPES.get(network, {}))
        model = read_model(imported)
        path = work.quantized(imported, [_noise(model.inputs, seed) for seed in _CALIBRATION])
    for target in TARGETS:
        artifact = work.artifact(path, target)
        graph = artifact.path / "model.onnx"
        model = read_model(graph)
        samples = [_noise(model.inputs, _FIRST + index) for index in range(CASES[file])]
        found = work.outputs(f"{artifact.path.stem}-emulated", samples, executing(artifact, EMULATOR))
        # A graph that is the same for several NPUs is interpreted once.
        name = f"{network}-interpreted-{sha256_hex(graph.read_bytes())[:16]}"
        wanted = work.outputs(name, samples, _interpreting(model))
        estimates = report_json(artifact.path)["estimates"]
        row: Row = {"part": PART, "network": network, "variant": target, "n": len(samples)}
        row |= compared(found, wanted) | {"cycles": estimates["total_cycles"]}
        yield row | {"cpu_operators": estimates["cpu_operators"]}


def compared(found: Sequence[Arrays], wanted: Sequence[Arrays]) -> Row:
    """How many integers there are, and how many of them differ; none may."""
    pairs = [pair for one, other in zip(found, wanted, strict=True) for pair in zip(one, other, strict=True)]
    differing = sum(int(np.count_nonzero(one != other)) for one, other in pairs)
    return {"outputs": sum(one.size for one, _ in pairs), "differing": differing, "met": differing == 0}


def _noise(infos: Sequence[TensorInfo], seed: int) -> Arrays:
    return tuple(generate_inputs(infos, seed).values())


def _interpreting(model: Model) -> Run:
    interpreter, names = Interpreter(model), [info.name for info in model.inputs]

    def run(inputs: Sequence[Array]) -> list[Array]:
        rows = [
            interpreter.run(dict(zip(names, sample, strict=True))) for sample in zip(*inputs, strict=True)
        ]
        return [np.stack(column) for column in zip(*rows, strict=True)]

    return run


def render(rows: Sequence[Row]) -> str:
    """One line a network, with the cycles of every NPU."""
    columns = ("network", "inputs", "outputs", "differing", *TARGETS)
    lines = []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = {row["variant"]: row for row in rows if row["network"] == network}
        differing = sorted({row["differing"] for row in own.values()})
        first = next(iter(own.values()))
        cycles = [f"{own[npu]['cycles'] / 1e6:.2f}" if npu in own else "-" for npu in TARGETS]
        lines.append(
            (network, str(first["n"]), str(first["outputs"]), ", ".join(map(str, differing)), *cycles)
        )
    return markdown_table(columns, lines, ("network",))
