"""`edgecompile doctor`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

from dataclasses import asdict

import click

from edgecompile.cli import ui
from edgecompile.errors import MissingToolError, Problem


@click.command("doctor")
@ui.json_option
def command(as_json: bool) -> None:
    """Check the installation and the external tools.

    Fails (exit 5) when something is missing that every compile needs.
    """
    from edgecompile.doctor import examine

    with ui.working("checking"):
        checks = examine()
    broken = [check for check in checks if check.required and not check.ok]
    if broken and as_json:
        raise MissingToolError(*(Problem("EC5001", c.subject, "", c.found, c.fix) for c in broken))
    rows = [(_STATE[check.ok], check.subject, check.found, check.purpose) for check in checks]
    lines = [ui.table(("", "WHAT", "FOUND", "NEEDED FOR"), rows)]
    lines += [f"{check.subject}: {check.fix}" for check in checks if not check.ok]
    ui.finish({"checks": [asdict(check) for check in checks]}, "\n".join(lines), as_json)
    if broken:
        raise MissingToolError(*(Problem("EC5001", c.subject, "", c.found, c.fix) for c in broken))


_STATE = {True: "ok", False: "missing"}
