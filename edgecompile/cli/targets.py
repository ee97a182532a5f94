"""`edgecompile targets`: what can be compiled for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edgecompile.cli import ui

if TYPE_CHECKING:
    from edgecompile.core.target import Target


@click.group("targets")
def command() -> None:
    """List and show what can be compiled for."""


@command.command("list")
@ui.json_option
def list_targets(as_json: bool) -> None:
    """List all targets, one a line."""
    from edgecompile.core.target import load_targets

    targets = list(load_targets().values())
    rows = [(target.name, ", ".join(target.aliases), target.description) for target in targets]
    text = ui.table(("TARGET", "ALSO KNOWN AS", "DESCRIPTION"), rows)
    ui.finish({"targets": [asdict(target) for target in targets]}, text, as_json)


@command.command("show")
@click.argument("name")
@ui.json_option
def show_target(name: str, as_json: bool) -> None:
    """Show everything known about the target NAME (a name, an alias or a .toml file)."""
    from edgecompile.core.target import find_target

    target = find_target(name)
    ui.finish({"target": asdict(target)}, _describe(target), as_json)


def _describe(target: Target) -> str:
    isa, codegen, memory = target.isa, target.codegen, target.memory
    flash, ram = (
        "no limit" if limit is None else ui.size(limit) for limit in (memory.flash_bytes, memory.ram_bytes)
    )
    emulator = target.emulator
    rows = [
        ("target", target.name),
        ("also known as", ", ".join(target.aliases) or "-"),
        ("description", target.description),
        ("instruction set", f"{isa.triple}, {isa.cpu}, {isa.pointer_bits} bit"),
        ("code", f"{codegen.route}, inner layout {codegen.layout}, arena aligned to {codegen.align}"),
        ("flash", flash),
        ("RAM", ram),
        ("toolchains", ", ".join(target.toolchain.candidates)),
        ("device", target.device),
        ("emulator", f"{emulator.program} ({emulator.install})" if emulator else "-"),
    ]
    return "\n".join(f"{label:<16} {value}" for label, value in rows)
