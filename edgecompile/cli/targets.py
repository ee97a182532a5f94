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


@command.command("ops")
@click.argument("name")
@click.option("--markdown", is_flag=True, help="As a table in Markdown.")
@ui.json_option
def show_operators(name: str, markdown: bool, as_json: bool) -> None:
    """Show which operators the accelerator NAME computes, and what must hold for them."""
    from edgecompile.backends.find import find_constraints
    from edgecompile.core.target import find_target
    from edgecompile.errors import Problem, UsageError

    target = find_target(name)
    table = find_constraints(target)
    if table is None:
        what, why = f"{target.name} has no table of operators", "its code is generated for all that are known"
        raise UsageError(Problem("EC2545", what, "NAME", why, "name a target with an accelerator"))
    rows = table.rows()
    text = table.markdown() if markdown else ui.table(("OPERATOR", "WHAT MUST HOLD"), rows)
    record = [{"operator": operator, "constraints": rule} for operator, rule in rows]
    ui.finish({"target": target.name, "operators": record}, text, as_json)


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
        *_accelerator(target),
        ("instruction set", f"{isa.triple}, {isa.cpu}, {isa.pointer_bits} bit"),
        ("code", f"{codegen.route}, inner layout {codegen.layout}, arena aligned to {codegen.align}"),
        ("flash", flash),
        ("RAM", ram),
        ("toolchains", ", ".join(target.toolchain.candidates)),
        ("device", target.device),
        ("emulator", f"{emulator.program} ({emulator.install})" if emulator else "-"),
    ]
    return "\n".join(f"{label:<16} {value}" for label, value in rows)


def _accelerator(target: Target) -> list[tuple[str, str]]:
    """What is beside the CPU that the other rows are about."""
    tables = (target.ethos_u, target.coreml, target.hexagon, target.cuda)
    return [
        (
            target.backend,
            ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asdict(table).items()),
        )
        for table in tables
        if table is not None
    ]
