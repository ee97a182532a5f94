"""One network on this machine: compiled, verified, and timed in turns with the other runtimes."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleave import Call, interleave, ratio
from benchmarks.library import LoadedNetwork
from benchmarks.networks import Network
from benchmarks.peers import PEERS, OnnxRuntime, identity_network
from benchmarks.roofline import Machine
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.artifact import Artifact
from edgecompile.core.isolate import run_isolated
from edgecompile.core.target import find_target
from edgecompile.execute import load_golden
from edgecompile.verify import verify_artifact

Row = dict[str, Any]
Times = dict[str, list[float]]

HOST = "host"
REFERENCE = "onnxruntime"
_OURS = "edgecompile"


@dataclass(frozen=True)
class HostBuild:
    """A verified artifact for this machine, and what its rows have in common."""

    network: Network
    artifact: Artifact
    figures: Row


def build_for_host(
    network: Network, folder: Path, threads: int = 1, tuned: bool = True, records: Path | None = None
) -> HostBuild:
    """Compile into `folder` for `threads` threads and execute what came out; `records` as for compile.

    Raises what compiling and verifying raise.
    """
    started = _cpu_seconds()
    target, shapes = find_target(HOST), network.input_shapes
    options = CompileOptions(target, shapes, threads=threads, records=records, tuned=tuned)
    artifact = compile_model(str(network.path), options, folder / "host.edge").artifact
    seconds = _cpu_seconds() - started
    memory = artifact.manifest.memory
    figures = {
        "tuned": tuned,
        "macs": network.macs,
        "max_error": verify_artifact(artifact).verification.max_error,
        "arena_bytes": memory.arena,
        "flash_bytes": memory.flash,
        "compile_s": round(seconds, 2),
    }
    return HostBuild(network, artifact, figures)


def time_on_host(build: HostBuild, threads: int, peers: Sequence[str], rounds: int, machine: Machine) -> Row:
    """Time the artifact in turns with `peers`; docs/performance.md explains the fields.

    Raises EdgeCompileError; also where the library of another runtime crashes, which happens in a child.
    """
    network = build.network
    task = f"measuring {network.name}"
    times, failures = run_isolated(race, network.path, build.artifact, peers, threads, rounds, task=task)
    bound = machine.bound_us(network.dtype, network.macs, network.weight_bytes, threads)
    return build.figures | {"bound_us": bound} | compare(times, failures)


def race(
    path: Path, artifact: Artifact, peers: Sequence[str], threads: int, rounds: int
) -> tuple[Times, dict[str, str]]:
    """In a child process: microseconds of a call by contestant and round, and why others did not start.

    Everybody gets the first golden sample. onnxruntime has to start; it is the reference.
    """
    samples = [np.ascontiguousarray(array[0]) for array in load_golden(artifact)[0]]
    inputs = {info.name: array for info, array in zip(artifact.manifest.inputs, samples, strict=True)}
    with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
        ours = LoadedNetwork(artifact, samples, Path(folder), threads)
        others, failures = _prepare_peers(path, inputs, peers, threads)
        return interleave({_OURS: ours.call} | others, rounds), failures


def _prepare_peers(
    path: Path, inputs: Mapping[str, np.ndarray], names: Sequence[str], threads: int
) -> tuple[dict[str, Call], dict[str, str]]:
    calls: dict[str, Call] = {}
    failures: dict[str, str] = {}
    for peer in PEERS:
        if peer.name not in names or not peer.reads(path):
            continue
        try:
            calls[peer.name] = peer.prepare(path, inputs, threads)
        except Exception as error:  # each runtime has classes of its own
            if peer.name == REFERENCE:
                raise
            failures[peer.name] = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return calls, failures


def compare(times: Times, failures: Mapping[str, str]) -> Row:
    """The measured part of a row: medians, and ratios of ours to each peer's, less than 1 being faster."""
    ours = times[_OURS]
    peers: dict[str, Row] = {name: {"error": reason} for name, reason in failures.items()}
    for name in times.keys() - {_OURS}:
        found = ratio(ours, times[name])
        peers[name] = {
            "us": float(np.median(times[name])),
            "ratio": found.median,
            "ratio_iqr": list(found.quartiles),
        }
    reference = peers.pop(REFERENCE)
    return {
        "ours_us": float(np.median(ours)),
        "peer": REFERENCE,
        "peer_us": reference["us"],
        "ratio_to_onnxruntime": reference["ratio"],
        "ratio_iqr": reference["ratio_iqr"],
        "other_peers": dict(sorted(peers.items())),
    }


def ratio_to_best(row: Row) -> float:
    """Our time by that of the fastest of all other runtimes in a measured row."""
    others = [peer["ratio"] for peer in row["other_peers"].values() if "ratio" in peer]
    return float(max([row["ratio_to_onnxruntime"], *others]))


def onnxruntime_overhead_us(rounds: int) -> float:
    """Microseconds that calling onnxruntime from here takes by itself, as on a network of one Identity.

    It is part of every onnxruntime time, and no ratio is corrected for it.
    """
    call = OnnxRuntime().bind(identity_network(), {"x": np.zeros(1, np.float32)}, 1)
    return float(np.median(interleave({REFERENCE: call}, rounds)[REFERENCE]))


def _cpu_seconds() -> float:
    """CPU time of this process and the children that have ended: other programs do not count."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
