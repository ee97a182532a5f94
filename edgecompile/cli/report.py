"""`edgecompile report`: what was compiled, from the artifact's own files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecompile.cli import ui
from edgecompile.cli.npu import describe_npu
from edgecompile.cli.tuned import describe_tuning

if TYPE_CHECKING:
    from edgecompile.core.artifact import Artifact, Manifest, Verification


@click.command("report")
@click.argument("artifact", type=click.Path(path_type=Path))
@ui.json_option
def command(artifact: Path, as_json: bool) -> None:
    """Show what ARTIFACT holds: interface, memory, kernels, notes and how far it was verified."""
    from edgecompile.core.artifact import open_artifact, report_json

    opened = open_artifact(artifact)
    record, verified = report_json(artifact), opened.verification()
    verification = asdict(verified) if verified else None
    ui.finish({"report": record, "verification": verification}, _describe(opened, record, verified), as_json)


def _describe(artifact: Artifact, record: dict[str, Any], verified: Verification | None) -> str:
    manifest = artifact.manifest
    lines = [f"network  {manifest.name}, from {record.get('source', '?')}", f"target   {manifest.target}"]
    lines += [f"input    {t.name}: {t.dtype} {ui.shape(t.shape)}" for t in manifest.inputs]
    lines += [f"output   {t.name}: {t.dtype} {ui.shape(t.shape)}" for t in manifest.outputs]
    lines += [f"rounding {manifest.rounding}"] if manifest.rounding else []
    lines += [
        *describe_memory(manifest),
        *describe_npu(record),
        *describe_tuning(record.get("tuning", {})),
        f"verified {_level(verified)}",
        *(f"note: {note}" for note in record.get("notes", ())),
    ]
    if manifest.steps:
        # Not every backend knows it.
        in_use = [ui.size(used) for used in record.get("arena_in_use", ())] or [""] * len(manifest.steps)
        rows = [
            (step.symbol or "(copy)", used, " + ".join(step.layers))
            for step, used in zip(manifest.steps, in_use, strict=True)
        ]
        lines += ["", ui.table(("KERNEL", "ARENA IN USE", "LAYERS"), rows)]
    return "\n".join(lines)


def describe_memory(manifest: Manifest) -> list[str]:
    """Lines about the size of an artifact; one for somebody else's runtime has no kernels and no arena."""
    memory = manifest.memory
    lines = [f"flash    {ui.size(memory.flash)} (weights {ui.size(memory.weights)})"]
    if manifest.steps:
        lines += [
            f"arena    {ui.size(memory.arena)} (lower bound {ui.size(memory.arena_lower_bound)})",
            f"kernels  {len(manifest.steps)}",
        ]
    return lines


def _level(verified: Verification | None) -> str:
    if verified is None:
        return "no (run `edgecompile verify`)"
    state = "" if verified.passed else "FAILED, "
    return f"{state}{verified.level} on {verified.device}, max error {verified.max_error:.2e}"
