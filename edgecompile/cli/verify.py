"""`edgecompile verify`: execute an artifact and compare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompile.cli import ui
from edgecompile.cli.options import device_option, threads_option
from edgecompile.cli.package import opened_package

if TYPE_CHECKING:
    from edgecompile.verify import VerifyReport


@click.command("verify")
@click.argument("artifact", type=click.Path(path_type=Path))
@device_option
@threads_option
@click.option("--per-layer", is_flag=True, help="Compare the tensors of every kernel as well.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    help="Largest allowed error, relative to the largest magnitude of the output.  [default: the artifact's]",
)
@ui.json_option
def command(
    artifact: Path, device: str | None, threads: int, per_layer: bool, tolerance: float | None, as_json: bool
) -> None:
    """Execute ARTIFACT, a folder or a bundle, with its golden inputs and compare with the reference.

    A mismatch is exit status 9. The result is recorded in the artifact's verification.json.
    """
    from edgecompile.verify import verify_artifact

    with (
        opened_package(artifact) as opened,
        ui.working(f"executing {opened.manifest.name} for {opened.manifest.target}"),
    ):
        report = verify_artifact(opened, device, per_layer, tolerance, threads)
    ui.finish(asdict(report), describe(report), as_json)


def describe(report: VerifyReport) -> str:
    """The report as text."""
    done = report.verification
    lines = [
        f"verified on {done.device} ({done.level}): {done.samples} samples, "
        f"max error {done.max_error:.2e} of the output's range (allowed {done.tolerance:.0e})"
    ]
    for check in report.outputs:
        classes = "" if check.same_class is None else f", same class {check.same_class}/{done.samples}"
        lines.append(f"  {check.name}: max error {check.max_error:.2e}{classes}")
    if report.layers:
        rows = [(f"{layer.max_error:.2e}", layer.symbol, " + ".join(layer.layers)) for layer in report.layers]
        lines += ["", ui.table(("MAX ERROR", "KERNEL", "LAYERS"), rows)]
    return "\n".join(lines)
