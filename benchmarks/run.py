"""Measure compiled networks against other runtimes, and count their instructions for other targets.

    python -m benchmarks.run [FILE ...] [--quick] [--json FILE] ...

Times are taken in turns in one process, so that ratios hold on a machine that is not quiet. The result is one
JSON file, from which `benchmarks/page.py` makes docs/performance.md. One network that fails is a row with
"error"; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from benchmarks.counts import count_on
from benchmarks.host import (
    HOST,
    REFERENCE,
    build_for_host,
    onnxruntime_overhead_us,
    ratio_to_best,
    time_on_host,
)
from benchmarks.interleave import geometric_mean
from benchmarks.networks import COPY, DType, Network, describe, find_networks, quantized_copy
from benchmarks.peers import PEERS, installed_peers
from benchmarks.roofline import Machine
from edgecompile.compiler import tool_versions
from edgecompile.core.store import write_atomically
from edgecompile.core.target import find_target
from edgecompile.errors import EdgeCompileError

Row = dict[str, Any]

SCHEMA_VERSION = 1
TARGETS = (HOST, "cortex-a72", "cortex-a76", "cortex-m4", "cortex-m55")
ROUNDS, QUICK_ROUNDS = 25, 7


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; `--quick` narrows the default targets to this machine."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=str(__doc__).splitlines()[0])
    parser.add_argument("files", nargs="*", help="networks; default: the folder models in EDGECOMPILE_ZOO")
    parser.add_argument("--quick", action="store_true", help="few rounds, fewer networks, this machine only")
    parser.add_argument("--core", action="store_true", help="only the networks that means are quoted over")
    parser.add_argument("--untuned", action="store_true", help="use no tuning records")
    parser.add_argument("--records", type=Path, metavar="DIR", help="tuning records besides the shipped ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--models", type=_words, default=[], help="only the networks with these names")
    parser.add_argument("--threads", type=_counts, default=[1], help="numbers of threads, e.g. 1,2")
    parser.add_argument("--targets", type=_words, help=f"default: {','.join(TARGETS)}")
    parser.add_argument("--peers", type=_peers, default=installed_peers(), help="default: all installed")
    parser.add_argument("--dtype", type=_dtypes, default=list(get_args(DType)), help="float32, int8 or both")
    parsed = parser.parse_args(arguments)
    parsed.targets = parsed.targets or ([HOST] if parsed.quick else list(TARGETS))
    return parsed


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _counts(text: str) -> list[int]:
    counts = [int(word) for word in _words(text)]
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers from 1 on")
    return counts


def _dtypes(text: str) -> list[str]:
    return _choices(text, get_args(DType))


def _peers(text: str) -> list[str]:
    """onnxruntime, which every ratio needs, is always among them."""
    return list(dict.fromkeys([REFERENCE, *_choices(text, [peer.name for peer in PEERS])]))


def _choices(text: str, known: Sequence[str]) -> list[str]:
    words = _words(text)
    for word in words:
        if word not in known:
            raise argparse.ArgumentTypeError(f"'{word}' is none of {', '.join(known)}")
    return words


def attempt(row: Row, measure: Callable[..., Row], *arguments: Any) -> Row:
    """`row` with what `measure(*arguments)` found, or with the reason why it found nothing."""
    try:
        return row | measure(*arguments)
    except Exception as error:  # other runtimes raise classes of their own
        return row | {"error": str(error).strip() or type(error).__name__}


def host_rows(network: Network, options: argparse.Namespace, machine: Machine) -> Iterator[Row]:
    """One row for each number of threads; a single one where nothing could be compiled."""
    row: Row = {"model": network.name, "dtype": network.dtype, "threads": options.threads[0], "target": HOST}
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    for threads in options.threads:
        timed = row | {"threads": threads}
        with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
            try:
                build = build_for_host(network, Path(folder), threads, not options.untuned, options.records)
            except EdgeCompileError as error:
                yield timed | {"error": str(error)}
                return
            yield attempt(timed, time_on_host, build, threads, options.peers, rounds, machine)


def measure(path: Path, options: argparse.Namespace, machine: Machine) -> Iterator[tuple[str, Row]]:
    """All rows of one file, and of its copy in int8.

    Each comes with the list it belongs to: "rows" for times, "instructions" for counts.
    """
    try:
        network = describe(path)
    except EdgeCompileError as error:
        yield "rows", {"model": path.stem, "target": options.targets[0], "error": str(error)}
        return
    if network.dtype in options.dtype:
        yield from measure_network(network, options, machine)
    if network.dtype == "float32" and "int8" in options.dtype and path.suffix == ".onnx":
        with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
            try:
                quantized = describe(quantized_copy(network, Path(folder)))
            except EdgeCompileError as error:
                yield (
                    "rows",
                    {"model": f"{path.stem}{COPY}", "target": options.targets[0], "error": str(error)},
                )
                return
            yield from measure_network(quantized, options, machine)


def measure_network(
    network: Network, options: argparse.Namespace, machine: Machine
) -> Iterator[tuple[str, Row]]:
    """All rows of one network, as `measure` yields them."""
    for target in options.targets:
        if target == HOST:
            yield from (("rows", row) for row in host_rows(network, options, machine))
        else:
            counted: Row = {"model": network.name, "target": target, "dtype": network.dtype}
            count = partial(count_on, tuned=not options.untuned, records=options.records)
            yield "instructions", attempt(counted, count, network, target)


def describe_row(row: Row) -> str:
    """One line for a person to watch."""
    where = f"{row['model']:28} {row['target']:11}"
    if "error" in row or "skipped" in row:
        return f"{where} {row.get('error') or row['skipped']}"
    if "instructions" in row:
        ratio = "" if row["ratio"] is None else f", {row['ratio']:.2f} of {row['peer']}"
        return f"{where} {row['instructions']:13,} instructions{ratio}"
    low, high = row["ratio_iqr"]
    bound = "" if row["bound_us"] is None else f", bound {row['bound_us']:.1f} µs"
    return (
        f"{where} {row['ours_us']:10.1f} µs, {row['peer']} {row['peer_us']:.1f} µs, "
        f"ratio {row['ratio_to_onnxruntime']:.2f} ({low:.2f} to {high:.2f}){bound}"
    )


def header(machine: Machine, options: argparse.Namespace) -> Row:
    """What the result holds besides rows: the machine, and how it was measured."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tuned": not options.untuned,
        "quick": options.quick,
        "rounds": QUICK_ROUNDS if options.quick else ROUNDS,
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "macs_per_s": machine.peaks,
        },
        "versions": tool_versions(),
        "onnxruntime_overhead_us": onnxruntime_overhead_us(QUICK_ROUNDS),
    }


def _cpu_model() -> str:
    """The processor's name in the kernel's words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        paths = find_networks(options.files, options.models, options.quick or options.core)
        options.targets = [find_target(name).name for name in options.targets]
    except EdgeCompileError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
        machine = Machine(Path(folder))
        result: Row = header(machine, options) | {"rows": [], "instructions": []}
        write_result(result, options.json)
        for path in paths:
            for kind, row in measure(path, options, machine):
                if "error" in row:
                    # A result may be published: it names no folder of this machine.
                    row["error"] = row["error"].replace(f"{path.parent}{os.sep}", "")
                result[kind].append(row)
                print(describe_row(row), flush=True)
                # After every row: what was measured stays when the run is ended.
                write_result(result, options.json)
    print("\n".join(describe_means([row for row in result["rows"] if "error" not in row])))
    return int(any("error" in row for row in (*result["rows"], *result["instructions"])))


def describe_means(rows: Sequence[Row]) -> list[str]:
    """Geometric means of our time by that of others, for each type of network."""
    lines = []
    for dtype in dict.fromkeys(row["dtype"] for row in rows):
        ratios = [row["ratio_to_onnxruntime"] for row in rows if row["dtype"] == dtype]
        best = [ratio_to_best(row) for row in rows if row["dtype"] == dtype]
        lines.append(
            f"geometric mean of the ratios, {len(ratios)} {dtype}: to {REFERENCE} "
            f"{geometric_mean(ratios):.2f}, to the best of all runtimes {geometric_mean(best):.2f}"
        )
    return lines


def write_result(result: Row, path: Path | None) -> None:
    """Write the JSON file, if one was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
