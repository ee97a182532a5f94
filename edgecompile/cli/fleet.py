"""`edgecompile fleet`: devices and builders of several machines, for everybody's tuning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompile.cli.options import device_option

if TYPE_CHECKING:
    from edgecompile.tuning.fleet_worker import Offer

_FILE = click.argument("file", type=click.Path(path_type=Path))
_INSECURE = click.option(
    "--insecure", is_flag=True, help="Allow tcp://; whoever reaches the port executes code."
)


@click.group("fleet")
def command() -> None:
    """Share devices, and machines that build, among sessions of `tune`.

    FILE says where the scheduler is and which certificates to use (docs/fleet.md). Both commands run until
    they are interrupted.
    """


@command.command("scheduler")
@_FILE
@_INSECURE
def scheduler(file: Path, insecure: bool) -> None:
    """Be the scheduler of the fleet: one for all workers and sessions."""
    from edgecompile.tuning.fleet_access import read_access
    from edgecompile.tuning.fleet_scheduler import run_scheduler

    run_scheduler(
        read_access(file, insecure), lambda address: click.echo(f"scheduler at {address}", err=True)
    )


@command.command("worker")
@_FILE
@click.option("--target", "-t", metavar="NAME", help="What the device is for. Without it there is none.")
@device_option
@click.option("--builders", type=click.IntRange(0), help="Programs to build at a time.  [default: by cores]")
@click.option("--name", help="What the worker is called in records.  [default: by machine and device]")
@_INSECURE
def worker(
    file: Path, target: str | None, device: str | None, builders: int | None, name: str | None, insecure: bool
) -> None:
    """Build programs for the fleet, and execute them on a device of this machine."""
    from edgecompile.core.target import find_target
    from edgecompile.devices.open import open_device
    from edgecompile.tuning.fleet_access import read_access
    from edgecompile.tuning.fleet_worker import run_worker, usual_builders, usual_name
    from edgecompile.tuning.measure import Bench

    access = read_access(file, insecure)
    bench = None
    if target is not None:
        chosen = find_target(target)
        opened = open_device(device, chosen)
        bench = Bench(chosen, opened, opened.metric)
    place = bench.device.name if bench else ""
    count = usual_builders(place) if builders is None else builders
    run_worker(access, name or usual_name(place), count, bench, _announce)


def _announce(offer: Offer) -> None:
    device = f", {offer.described} for {offer.target}" if offer.target else ""
    click.echo(f"worker {offer.name}: {offer.builders} builders{device}", err=True)
