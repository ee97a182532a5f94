"""Latency on the NVIDIA GPU of this machine, against PyTorch and onnxruntime: batch 1, median of 200 runs.

    python -m benchmarks.gpu package.module:function net.onnx ... [--records DIR] [--json FILE]

Every time is from an input in host memory to an output in host memory, with one CUDA graph on every side:
PyTorch's eager mode captured in one, `torch.compile(mode="max-autotune")`, and onnxruntime's CUDA provider
with its graphs. Kernels are those of tuning records, where `edgecompile tune --device cuda` has made some.
PyTorch is measured for a function that returns a module and example inputs, onnxruntime for
an ONNX file. Ours is also measured without a graph (how much launching costs) and with mapped memory
(copying). TF32 is off on all sides.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.cuda.program import link_for_gpu
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.device import RunRequest
from edgecompile.core.samples import pack
from edgecompile.core.target import Target, find_target, load_targets
from edgecompile.devices.gpu import CudaDevice, gpu_architecture
from edgecompile.execute import load_golden

RUNS, WARM_UP = 200, 20
WAYS = {"ours": 0, "ours, mapped memory": 1, "ours, no graph": 2}


def median_us(call: Callable[[], object]) -> float:
    """Microseconds of a call that returns when its result is in host memory."""
    times = []
    for _ in range(WARM_UP + RUNS):
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times[WARM_UP:]) / 1000


def ours(artifact: Artifact) -> dict[str, float]:
    """Every way of running an engine."""
    inputs = [array[:1] for array in load_golden(artifact)[0]]
    output_bytes = sum(info.nbytes for info in artifact.manifest.outputs)
    found = {}
    for way, options in WAYS.items():
        with tempfile.TemporaryDirectory() as folder, CudaDevice(artifact.target) as device:
            program = link_for_gpu(artifact, device, Path(folder) / "runner", options=options)
            data = pack(artifact.manifest.inputs, inputs)
            result = device.run(RunRequest(program, data, 1, output_bytes, repeats=WARM_UP + RUNS))
        found[way] = statistics.median(result.nanoseconds[WARM_UP:]) / 1000
    return found


def pytorch(module: Any, examples: tuple[Any, ...]) -> dict[str, float]:
    """Eager mode in a CUDA graph, and the compiler's best."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    module, given = module.cuda().eval(), [example.pin_memory() for example in examples]
    inputs = [example.cuda() for example in examples]
    with torch.no_grad():
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                module(*inputs)
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            result = module(*inputs)
        compiled = torch.compile(module, mode="max-autotune")

        def refill() -> None:
            for place, data in zip(inputs, given, strict=True):
                place.copy_(data, non_blocking=True)

        def to_host(result: Any) -> object:
            return [one.cpu() for one in (result if isinstance(result, tuple) else (result,))]

        def replay() -> object:
            refill()
            graph.replay()
            return to_host(result)

        def call_compiled() -> object:
            refill()
            return to_host(compiled(*inputs))

        return {"PyTorch": median_us(replay), "torch.compile": median_us(call_compiled)}


def onnxruntime_cuda(path: str, arrays: list[np.ndarray[Any, Any]]) -> dict[str, float]:
    """onnxruntime with inputs and outputs bound on the GPU; nothing without its CUDA provider."""
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return {}
    provider = ("CUDAExecutionProvider", {"enable_cuda_graph": "1", "use_tf32": "0"})
    session = onnxruntime.InferenceSession(path, providers=[provider])
    binding = session.io_binding()
    places = [onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0) for array in arrays]
    for info, place in zip(session.get_inputs(), places, strict=True):
        binding.bind_ortvalue_input(info.name, place)
    for info in session.get_outputs():
        binding.bind_output(info.name, "cuda")

    def call() -> object:
        for place, array in zip(places, arrays, strict=True):
            place.update_inplace(array)
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return {"onnxruntime": median_us(call)}


def local_target() -> Target:
    """The shipped target of this GPU's architecture, or its PTX on a newer GPU."""
    own = gpu_architecture()
    known = {
        target.cuda.architecture: target for target in load_targets().values() if target.cuda is not None
    }
    return known.get(own) or known[max(known)]


def measure(source: str, records: Path | None) -> dict[str, float]:
    """Microseconds by who and how."""
    target = local_target()
    with tempfile.TemporaryDirectory() as folder:
        options = CompileOptions(target, records=records)
        artifact = compile_model(source, options, Path(folder) / "net.edge").artifact
        times = ours(artifact)
        if source.endswith(".onnx"):
            inputs = [array[0] for array in load_golden(artifact)[0]]
            return times | onnxruntime_cuda(source, inputs)
    package, _, function = source.rpartition(":")
    module, examples = getattr(import_module(package), function)()
    return times | pytorch(module, examples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--records", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with CudaDevice(find_target("h200")) as device:
        results: dict[str, Any] = {"device": device.health()}
    for source in arguments.networks:
        times = results[source] = measure(source, arguments.records)
        best = min((value for who, value in times.items() if who not in WAYS), default=None)
        ratio = "" if best is None else f"   ours / best of the others {times['ours'] / best:.2f}"
        print(source, *(f"{who} {value:.1f} µs" for who, value in times.items()), sep="   ", end=f"{ratio}\n")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
