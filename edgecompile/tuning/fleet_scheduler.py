"""The scheduler of a fleet: it knows all workers, and who is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edgecompile.errors import DeviceError, Problem
from edgecompile.tuning.fleet_access import Access, load_distributed


def run_scheduler(access: Access, notify: Callable[[str], None]) -> None:
    """Be the scheduler of the fleet until interrupted; `notify` is told its address.

    Raises DeviceError (EC7017) when it cannot listen there.
    """
    try:
        asyncio.run(_schedule(access, notify))
    except (OSError, RuntimeError) as error:
        raise no_scheduler(access, error) from None


async def _schedule(access: Access, notify: Callable[[str], None]) -> None:
    scheduler = load_distributed().Scheduler(
        host=access.host,
        port=access.port,
        protocol=access.protocol,
        security=access.security(),
        dashboard=False,
        dashboard_address="127.0.0.1:0",
    )
    async with scheduler:
        notify(scheduler.address)
        await scheduler.finished()


def no_scheduler(access: Access, error: Exception) -> DeviceError:
    """There is none that can be reached. Dask says that something failed to start; why is in the cause."""
    why = str(error.__cause__ or "") or str(error)
    what, fix = "the scheduler of the fleet cannot be reached", "edgecompile fleet scheduler FILE"
    return DeviceError(Problem("EC7017", what, access.scheduler, why, f"start it: {fix}"))
