"""From what a user writes after --device to a device."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from edgecompile.core.device import Device
from edgecompile.core.registry import load_plugins
from edgecompile.core.target import Target
from edgecompile.devices.adb import open_adb
from edgecompile.devices.command import open_command
from edgecompile.devices.fake import open_fake
from edgecompile.devices.gpu import CudaDevice, SimulatedGpu
from edgecompile.devices.local import LocalDevice
from edgecompile.devices.qemu import QemuDevice
from edgecompile.devices.ssh import open_ssh
from edgecompile.errors import Problem, UsageError, did_you_mean

PLUGIN_GROUP = "edgecompile.devices"

# How to write a device, and what it is.
KINDS = {
    "local": "this machine",
    "qemu": "the target's emulator",
    "cuda": "the NVIDIA GPU of this machine",
    "cuda-simulator": "an NVIDIA GPU simulated by this machine's CPU: checks code, says nothing of speed",
    "ssh://[user@]host[:port]": "a Linux board, by your own ssh",
    "adb://[serial]": "an Android device, by your own adb",
    "command:FILE": "a board that a command line of yours flashes and starts (see docs/devices.md)",
    "fake:FAULT": "the target's usual device with a fault: lost, hang, crash, ... (see docs/devices.md)",
}

Opener = Callable[[str, Target], Device]

_OPENERS: dict[str, Opener] = {
    "local": lambda address, target: LocalDevice(target),
    "qemu": lambda address, target: QemuDevice(target),
    "cuda": lambda address, target: CudaDevice(target),
    "cuda-simulator": lambda address, target: SimulatedGpu(target),
    "ssh": lambda address, target: open_ssh(address),
    "adb": lambda address, target: open_adb(address),
    "command": lambda address, target: open_command(address),
    "fake": lambda address, target: open_fake(address, open_device(None, target)),
}


def open_device(spec: str | None, target: Target) -> Device:
    """The device that `spec` names for programs of `target`; None is the target's usual device.

    A name is one of `device_kinds()`. A plug-in is an entry point of the group "edgecompile.devices" whose
    object is called with the text after "name:" or "name://" and the target. Nothing is contacted before the
    device is entered. Raises UsageError (EC2026) for an unknown name; broken plug-ins are only warned about.
    """
    kind, _, address = (spec or target.device).partition(":")
    opener = _OPENERS.get(kind) or _plugin_openers().get(kind)
    if opener is None:
        if spec is None:
            what, why = f"{target.name} has no programs", f"{kind} executes its artifacts as they are"
            raise UsageError(Problem("EC2026", what, "--target", why, "use `edgecompile verify`"))
        fix = did_you_mean(kind, [*_OPENERS, *_plugin_openers()])
        raise UsageError(Problem("EC2026", f"unknown device '{spec}'", "--device", "", fix))
    return opener(address.removeprefix("//"), target)


def device_kinds() -> dict[str, str]:
    """How every kind of device is written, plug-ins included, and what it is."""
    return KINDS | dict.fromkeys(_plugin_openers(), "from another package")


def _plugin_openers() -> dict[str, Opener]:
    plugins = load_plugins(PLUGIN_GROUP)
    for warning in plugins.warnings:
        warnings.warn(warning, stacklevel=2)
    return plugins.found
