"""Render docs/performance.md from the results of speed in benchmarks/results.

    python -m benchmarks.page

What stands above the mark in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.host import ratio_to_best
from benchmarks.interleave import geometric_mean
from benchmarks.markdown import markdown_table, write_results
from benchmarks.networks import COPY, CORE

Row = dict[str, Any]

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
RESULTS = Path(__file__).parent / "results"
SPEED = ("instructions", "threads", "tuned", "untuned")

_TITLES = {"float32": "Float networks", "int8": "Integer networks (int8)"}
_HOST_COLUMNS = (
    "network", "threads", "µs", "onnxruntime, µs", "ratio", "quartiles", "bound, µs", "other runtimes",
    "max error", "arena, bytes", "flash, bytes", "compile, CPU s",
)  # fmt: skip
_COUNT_COLUMNS = (
    "network", "type", "target", "instructions", "per MAC", "to compare", "theirs", "ratio", "others",
    "arena, bytes", "flash, bytes",
)  # fmt: skip
_WORDS = ("network", "type", "target", "to compare", "other runtimes", "others")


def main() -> int:
    write_results(PAGE, render(load_results()))
    return 0


def load_results() -> list[Row]:
    """What was measured of speed and size; other results have pages of their own."""
    files = [path for name in SPEED if (path := RESULTS / f"{name}.json").exists()]
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def render(results: Sequence[Row]) -> str:
    """What stands below the mark: a part for each result file, in order."""
    return "\n".join("\n".join(_part(result)) for result in results) or "Nothing has been measured yet.\n"


def _part(result: Row) -> list[str]:
    sections = [_conditions(result)]
    for dtype, title in _TITLES.items():
        rows = [row for row in result["rows"] if row.get("dtype") == dtype and "error" not in row]
        if rows:
            sections += [
                f"## {title}, this machine",
                markdown_table(_HOST_COLUMNS, map(_host_cells, rows), _WORDS),
                _mean(rows),
            ]
    counted = [row for row in result["instructions"] if "instructions" in row]
    if counted:
        sections += [
            "## Instructions of one inference, emulated",
            markdown_table(_COUNT_COLUMNS, map(_count_cells, counted), _WORDS),
        ]
        sections += [text for text in (_count_means(counted), _left_out(result)) if text]
    failed = [row for row in (*result["rows"], *result["instructions"]) if "error" in row]
    if failed:
        lines = [f"- {row['model']}, {row['target']}: {_one_line(row['error'])}" for row in failed]
        sections += ["## Failed", "\n".join(lines)]
    return [f"{section}\n" for section in sections]


def _conditions(result: Row) -> str:
    """How and on what this was measured, in one paragraph."""
    machine, versions = result["machine"], result["versions"]
    peaks = {kind: f"{rate / 1e9:.0f} G" for kind, rate in machine["macs_per_s"].items() if rate}
    ceilings = " and ".join(f"{rate} {kind}" for kind, rate in peaks.items())
    overhead = f"{result['onnxruntime_overhead_us']:.1f} µs"
    return (
        f"{'Tuned' if result['tuned'] else 'Untuned'}, measured on {machine['cpu']} with {machine['cores']} "
        f"cores, batch 1, {result['rounds']} rounds; edgecompile {versions['edgecompile']}, onnxruntime "
        f"{versions['onnxruntime']}. One core's ceiling is {ceilings} multiply-accumulates a second. "
        f"A call of onnxruntime takes {overhead} by itself, which its times include."
    )


def _host_cells(row: Row) -> list[str]:
    low, high = row["ratio_iqr"]
    return [
        row["model"],
        str(row["threads"]),
        _time(row["ours_us"]),
        _time(row["peer_us"]),
        f"{row['ratio_to_onnxruntime']:.2f}",
        f"{low:.2f} to {high:.2f}",
        _or_dash(row["bound_us"], _time),
        _cell("; ".join(_other(name, peer) for name, peer in row["other_peers"].items())),
        f"{row['max_error']:.1e}",
        f"{row['arena_bytes']:,}",
        f"{row['flash_bytes']:,}",
        f"{row['compile_s']:.1f}",
    ]


def _count_cells(row: Row) -> list[str]:
    return [
        row["model"],
        row["dtype"],
        row["target"],
        f"{row['instructions']:,}",
        _or_dash(row["per_mac"], "{:.2f}".format),
        _cell(row["peer"] or ""),
        _or_dash(row["peer_instructions"], "{:,}".format),
        _or_dash(row["ratio"], "{:.2f}".format),
        _cell("; ".join(f"{name} {count:,}" for name, count in row["other_peers"].items())),
        f"{row['arena_bytes']:,}",
        f"{row['flash_bytes']:,}",
    ]


def _other(name: str, peer: Row) -> str:
    return (
        f"{name} failed" if "error" in peer else f"{name} {_time(peer['us'])} µs, ratio {peer['ratio']:.2f}"
    )


def _time(microseconds: float) -> str:
    """Three figures are what a measurement is good for."""
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:.3g}"


def _or_dash(value: float | None, show: Callable[[Any], str]) -> str:
    return "-" if value is None else show(value)


def _cell(text: str) -> str:
    return text.replace("|", "/") or "-"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _mean(rows: Sequence[Row]) -> str:
    """Geometric means over the core networks, for each number of threads."""
    lines = []
    for threads in sorted({row["threads"] for row in rows}):
        core = [row for row in rows if row["threads"] == threads and row["model"].removesuffix(COPY) in CORE]
        ratios = [row["ratio_to_onnxruntime"] for row in core]
        if ratios:
            many = f"{threads} thread{'s' if threads > 1 else ''}"
            mean = f"Geometric mean of the ratio, {many}, {_these(ratios)}: **{geometric_mean(ratios):.2f}**."
            lines.append(mean + _mean_to_best(core))
    return "\n".join(lines)


def _mean_to_best(rows: Sequence[Row]) -> str:
    """The same by whatever runtime is fastest; "" where onnxruntime was the only one."""
    if not any(row["other_peers"] for row in rows):
        return ""
    return f" To the best of all runtimes: **{geometric_mean([ratio_to_best(row) for row in rows]):.2f}**."


def _count_means(rows: Sequence[Row]) -> str:
    """Geometric means of the ratios, for each target and type that has any."""
    lines = []
    for target, dtype, peer in dict.fromkeys((row["target"], row["dtype"], row["peer"]) for row in rows):
        ratios = [
            row["ratio"]
            for row in rows
            if (row["target"], row["dtype"], row["peer"]) == (target, dtype, peer)
            and row["ratio"] is not None
        ]
        if ratios:
            mean = f"**{geometric_mean(ratios):.2f}**"
            lines.append(f"- {target}, {dtype}, to {peer}, {_these(ratios)}: {mean}")
    return "\n".join(["Geometric mean of the ratio:\n", *lines]) if lines else ""


def _these(ratios: Sequence[float]) -> str:
    return f"{len(ratios)} network{'s' if len(ratios) > 1 else ''}"


def _left_out(result: Row) -> str:
    skipped = [f"{row['model']} ({row['target']})" for row in result["instructions"] if "skipped" in row]
    return f"Too large for the target: {', '.join(skipped)}." if skipped else ""


if __name__ == "__main__":
    sys.exit(main())
