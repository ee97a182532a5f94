"""Exact instruction counts of one inference under an emulator, next to counts of other runtimes."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.networks import Network
from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.errors import BudgetError
from edgecompile.verify import verify_artifact

Row = dict[str, Any]
_FIGURES = Path(__file__).with_name("peer_instructions.toml")


@dataclass(frozen=True)
class PeerCount:
    """Instructions of one inference of `peer`, version included in its name."""

    peer: str
    instructions: int


def count_on(
    network: Network,
    target: str,
    figures: dict[str, Any] | None = None,
    tuned: bool = True,
    records: Path | None = None,
) -> Row:
    """Compile for `target`, verify in its emulator, count; `records` as for compile.

    The row has "skipped" instead of figures where the network does not fit the target. Raises what
    compiling, verifying and measuring raise.
    """
    row: Row = {"model": network.name, "target": target, "dtype": network.dtype, "macs": network.macs}
    with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
        options = CompileOptions(find_target(target), network.input_shapes, records=records, tuned=tuned)
        try:
            artifact = compile_model(str(network.path), options, Path(folder) / "counted.edge").artifact
            error = verify_artifact(artifact).verification.max_error
        except BudgetError as problem:
            return row | {"skipped": problem.problems[0].what}
        instructions = bench_artifact(artifact).instructions
        memory = artifact.manifest.memory
    row |= {"max_error": error, "arena_bytes": memory.arena, "flash_bytes": memory.flash}
    return row | compare(instructions, network.macs, find_figures(network, target, figures or load_figures()))


def compare(instructions: int | None, macs: int, peers: Sequence[PeerCount]) -> Row:
    """Counts per multiply-accumulate and by the first peer's; less than 1 is fewer."""
    row: Row = {"instructions": instructions, "per_mac": None}
    row |= {"peer": None, "peer_instructions": None, "ratio": None, "other_peers": {}}
    if instructions is not None and macs:
        row["per_mac"] = instructions / macs
    if instructions is not None and peers:
        first, *others = peers
        row |= {"peer": first.peer, "peer_instructions": first.instructions}
        row["ratio"] = instructions / first.instructions
        row["other_peers"] = {other.peer: other.instructions for other in others}
    return row


def load_figures(path: Path = _FIGURES) -> dict[str, Any]:
    """The data file; its own comments say where the counts come from."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def find_figures(network: Network, target: str, figures: dict[str, Any]) -> list[PeerCount]:
    """Other runtimes' counts for the same network, type and target, in the order of the file."""
    kind = figures["networks"].get(network.name)
    return [
        PeerCount(entry["peer"], entry["instructions"][kind])
        for entry in figures["counts"]
        if target in entry["targets"] and entry["dtype"] == network.dtype and kind in entry["instructions"]
    ]
