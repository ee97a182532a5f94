"""Measure every candidate of a few layers, so that searches can be judged exactly, and again and again.

    python -m benchmarks.sweep --target cortex-a76 --records DIR [--time 30m]

The layers are of shapes that the shipped records do not know. What is measured is in DIR, so a sweep can be
stopped at any moment and goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from benchmarks.layers import Layer, save_layers
from benchmarks.networks import DType, describe, quantized_copy
from edgecompile.cli.tune import parse_time
from edgecompile.core.target import Target, find_target
from edgecompile.errors import EdgeCompileError, UnsupportedError
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.session import Budget, Progress
from edgecompile.tuning.tune import TuneOptions, list_tasks, open_session

LAYERS: dict[str, tuple[Layer, ...]] = {
    "conv3x3": (
        Layer("conv", 40, 48, 20, kernel=3, activation="relu"),
        Layer("conv", 80, 80, 12, kernel=3),
    ),
    "conv1x1": (
        Layer("conv", 72, 120, 20, activation="relu6"),
        Layer("conv", 200, 88, 10),
    ),
    "depthwise": (
        Layer("depthwise", 120, size=20, kernel=3, activation="relu6"),
        Layer("depthwise", 80, size=14, kernel=5, stride=2, activation="relu"),
    ),
    "dense": (
        Layer("dense", 200, 500, activation="relu"),
        Layer("matmul", 176, 352, 50),
    ),
}  # fmt: skip


# What surrounds the layers, such as changes of layout, is not measured.
_OPERATORS = frozenset({"Conv", "ConvNhwc", "Gemm", "MatMul"})


def kind_tasks(target: Target, dtype: DType) -> Iterator[tuple[str, KernelTask]]:
    """The kinds of layers, and the tasks that their kernels are on `target`."""
    with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
        for kind, layers in LAYERS.items():
            path = save_layers(layers, Path(folder) / f"{kind}.onnx")
            if dtype == "int8":
                path = quantized_copy(describe(path), Path(folder))
            try:
                tasks = list_tasks(str(path), TuneOptions(target, Path(folder)))
            except UnsupportedError:
                continue
            yield from ((kind, task) for task in tasks if _is_layer(task))


def _is_layer(task: KernelTask) -> bool:
    return any(node["op"] in _OPERATORS for node in task.task.workload.description["nodes"])


def sweep(target: Target, dtype: DType, records: Path, seconds: float) -> None:
    """Measure what is left, for at most so many seconds. Raises what tuning raises."""
    tasks = [task for _, task in kind_tasks(target, dtype)]
    if not tasks:
        return
    total = sum(len(task.task.candidates) for task in tasks)
    with open_session(tasks, TuneOptions(target, records), f"{dtype}.jsonl", goal=total) as session:

        def show(progress: Progress) -> None:
            minutes = progress.seconds / 60
            print(f"{target.name} {dtype}: {progress.done} of {total} in {minutes:.1f} minutes", flush=True)

        session.run(Budget(seconds=seconds), show)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/sweep.py", description=str(__doc__).splitlines()[0])
    parser.add_argument("--target", required=True)
    parser.add_argument("--records", type=Path, required=True, metavar="DIR", help="where results are")
    parser.add_argument("--time", help="stop after a time, e.g. 30m")
    options = parser.parse_args(arguments)
    try:
        seconds = parse_time(options.time)
        deadline = time.monotonic() + (math.inf if seconds is None else seconds)
        for dtype in get_args(DType):
            sweep(find_target(options.target), dtype, options.records, deadline - time.monotonic())
    except EdgeCompileError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
