"""Compile and measure every network at hand, and write the results into docs/performance.md.

The networks are the .onnx files in the folder `models` of EDGECOMPILE_ZOO, or those named as arguments.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model, tool_versions
from edgecompile.core.target import find_target
from edgecompile.errors import EdgeCompileError
from edgecompile.execute import load_golden
from edgecompile.verify import verify_artifact

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
MARK = "<!-- results -->"
COUNTED_TARGET = "cortex-a72"
RUNS = 50

# Input shapes that a network's file leaves open.
SHAPES = {"ppocr_angle_cls": {"x": (1, 3, 48, 192)}}


@dataclass(frozen=True)
class Result:
    """One network: sizes in bytes, times in microseconds, compile time in CPU seconds."""

    name: str
    compile_s: float
    flash: int
    arena: int
    host_us: float
    onnxruntime_us: float
    max_error: float
    instructions: int | None

    def row(self) -> str:
        cells = (
            self.name,
            f"{self.compile_s:.1f}",
            f"{self.flash:,}",
            f"{self.arena:,}",
            f"{self.host_us:,.0f}",
            f"{self.onnxruntime_us:,.0f}",
            f"{self.host_us / self.onnxruntime_us:.2f}",
            f"{self.max_error:.1e}",
            "-" if self.instructions is None else f"{self.instructions:,}",
        )
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| network | compile, CPU s | flash, bytes | arena, bytes | µs, this machine | µs, onnxruntime | ratio "
    f"| max error | instructions, {COUNTED_TARGET} |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def measure(network: Path, folder: Path) -> Result:
    """Compile `network` for this machine and for the counted target, verify and measure both."""
    shapes = SHAPES.get(network.stem, {})
    started = _cpu_seconds()
    host = CompileOptions(target=find_target("host"), input_shapes=shapes)
    artifact = compile_model(str(network), host, folder / "host.edge").artifact
    compile_s = _cpu_seconds() - started
    verified = verify_artifact(artifact).verification
    counted = CompileOptions(target=find_target(COUNTED_TARGET), input_shapes=shapes)
    other = compile_model(str(network), counted, folder / "counted.edge").artifact
    sample = dict(zip((t.name for t in artifact.manifest.inputs), load_golden(artifact)[0], strict=True))
    memory = artifact.manifest.memory
    return Result(
        network.stem,
        compile_s,
        memory.flash,
        memory.arena,
        bench_artifact(artifact, runs=RUNS).p50_us or 0.0,
        _onnxruntime_us(network, {name: array[0] for name, array in sample.items()}),
        verified.max_error,
        bench_artifact(other).instructions,
    )


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _onnxruntime_us(network: Path, sample: dict[str, np.ndarray]) -> float:
    """Median of onnxruntime on one thread, all its optimisations on."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    times = []
    for _ in range(RUNS + 3):
        started = time.perf_counter_ns()
        session.run(None, sample)
        times.append(time.perf_counter_ns() - started)
    return float(np.median(times[3:])) / 1000


def networks(arguments: Sequence[str]) -> list[Path]:
    """The files named, else those of the zoo."""
    zoo = os.environ.get("EDGECOMPILE_ZOO")
    if not arguments and zoo is None:
        sys.exit("name .onnx files, or set EDGECOMPILE_ZOO to the folder of trained networks")
    return [Path(name) for name in arguments] or sorted(Path(str(zoo)).glob("models/*.onnx"))


def write_page(results: Sequence[Result]) -> None:
    """Replace everything after the mark."""
    versions = ", ".join(f"{tool} {tool_versions()[tool]}" for tool in ("edgecompile", "onnxruntime"))
    text = PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK
    rows = "\n".join(result.row() for result in results)
    text += f"\n\nMeasured on {_cpu_model()}, one thread; {versions}.\n\n{HEADER}\n{rows}\n"
    PAGE.write_text(text, encoding="utf-8")


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def main() -> int:
    results, failed = [], 0
    for network in networks(sys.argv[1:]):
        with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
            try:
                results.append(measure(network, Path(folder)))
                print(results[-1].row(), flush=True)
            except EdgeCompileError as error:
                failed += 1
                print(f"{network.stem}: {error}", file=sys.stderr, flush=True)
    write_page(results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
