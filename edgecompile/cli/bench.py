"""`edgecompile bench`: how fast an artifact is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompile.cli import ui
from edgecompile.cli.options import device_option, threads_option

if TYPE_CHECKING:
    from edgecompile.bench import BenchReport


@click.command("bench")
@click.argument("artifact", type=click.Path(path_type=Path))
@device_option
@threads_option
@click.option("--runs", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Timed runs.")
@click.option("--per-layer", is_flag=True, help="Also measure every kernel.")
@ui.json_option
def command(
    artifact: Path, device: str | None, threads: int, runs: int, per_layer: bool, as_json: bool
) -> None:
    """Measure the speed of ARTIFACT: time on a device, exact instruction counts under an emulator."""
    from edgecompile.bench import bench_artifact
    from edgecompile.core.artifact import open_artifact

    opened = open_artifact(artifact)
    with ui.working(f"measuring {opened.manifest.name} for {opened.manifest.target}"):
        report = bench_artifact(opened, device, runs, per_layer, threads)
    ui.finish(asdict(report), _describe(report), as_json)


def _describe(report: BenchReport) -> str:
    lines = [f"device        {report.device}"]
    if report.threads > 1:
        lines.append(f"threads       {report.threads}")
    if report.p50_us is not None:
        lines.append(
            f"time          p50 {report.p50_us:,.1f} µs, p99 {report.p99_us:,.1f} µs ({report.runs} runs)"
        )
    if report.instructions is not None:
        lines.append(f"instructions  {report.instructions:,} per inference")
    if report.cycles is not None:
        lines.append(f"cycles        {report.cycles:,} per inference ({report.runs} runs)")
    if report.steps:
        rows = [
            (
                "-" if step.microseconds is None else f"{step.microseconds:,.1f}",
                "-" if step.instructions is None else f"{step.instructions:,}",
                step.symbol or "(copy)",
                " + ".join(step.layers),
            )
            for step in report.steps
        ]
        lines += ["", ui.table(("µs", "INSTRUCTIONS", "KERNEL", "LAYERS"), rows)]
    return "\n".join([*lines, *(f"note: {note}" for note in report.notes)])
