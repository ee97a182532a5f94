"""`edgecompile devices`: where artifacts can be executed."""

from __future__ import annotations

import click

from edgecompile.cli import ui


@click.group("devices")
def command() -> None:
    """List and probe where artifacts can be executed."""


@command.command("list")
@ui.json_option
def list_devices(as_json: bool) -> None:
    """List the kinds of device, as they are written after --device, and each target's usual one."""
    from edgecompile.core.target import load_targets
    from edgecompile.devices.open import device_kinds

    kinds = device_kinds()
    usual = {target.name: target.device for target in load_targets().values()}
    text = ui.table(("DEVICE", "WHAT"), kinds.items())
    text += "\n\n" + ui.table(("TARGET", "USUAL DEVICE"), usual.items())
    others = sorted(set(usual.values()) - kinds.keys())
    text += f"\n\n{', '.join(others)}: for `edgecompile verify` only"
    ui.finish({"devices": kinds, "usual": usual}, text, as_json)


@command.command("probe")
@click.argument("spec", required=False)
@click.option("--target", "-t", default="host", show_default=True, help="What the device should execute.")
@ui.json_option
def probe_device(spec: str | None, target: str, as_json: bool) -> None:
    """Contact the device SPEC (default: the target's usual one) and say what it is.

    Exit status 7 when it cannot be reached.
    """
    from edgecompile.core.target import find_target
    from edgecompile.devices.open import open_device

    opened = open_device(spec, find_target(target))
    with ui.working(f"contacting {opened.name}"), opened as device:
        health = device.health()
    record = {"device": opened.name, "level": opened.level, "health": health}
    ui.finish(record, f"{opened.name}: {health} ({opened.level})", as_json)
