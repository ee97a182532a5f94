"""Android devices, with the user's own adb."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompile.devices.remote import RemoteDevice
from edgecompile.errors import Problem, UsageError


def open_adb(serial: str) -> RemoteDevice:
    """The device with `serial`, the part after "adb://"; the only one attached when that is empty.

    Raises UsageError (EC2024) unless it can be a serial number or a host:port.
    """
    if not re.fullmatch(r"(\w[\w.:-]*)?", serial):
        fix = "take a serial number from the output of: adb devices"
        raise UsageError(Problem("EC2024", "not an adb serial number", "--device", f"adb://{serial}", fix))
    return RemoteDevice(AdbTransport(f"adb://{serial}", serial))


@dataclass(frozen=True)
class AdbTransport:
    """adb's shell, push and pull. The only folder from which a shell user may run programs is `temporary`."""

    name: str
    serial: str
    program: str = "adb"
    install: str = "apt install adb"
    temporary: str = "/data/local/tmp"

    def open(self) -> None:
        """adb keeps its own connection."""

    def close(self) -> None:
        """adb keeps its own connection."""

    def shell(self, command: str) -> list[str]:
        return [*self._adb(), "shell", command]

    def push(self, files: Sequence[Path], folder: str) -> list[str]:
        return [*self._adb(), "push", *map(str, files), f"{folder}/"]

    def pull(self, file: str, folder: Path) -> list[str]:
        return [*self._adb(), "pull", file, str(folder / Path(file).name)]

    def advice(self, message: str) -> str:
        if "unauthorized" in message:
            return "unlock the device and allow debugging from this computer"
        return "check the cable and that the output of this command lists it: adb devices"

    def _adb(self) -> list[str]:
        return ["adb", "-s", self.serial] if self.serial else ["adb"]
