"""Boards over ssh, with the user's own OpenSSH: keys, hosts and proxies are those of ~/.ssh/config."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgecompile.core.process import run_program
from edgecompile.devices.remote import RemoteDevice
from edgecompile.errors import Problem, UsageError

# user@host:port; the host is a name, an IPv4 address, or an IPv6 address in brackets. Nothing may start with
# a dash: ssh would take it for an option.
_ADDRESS = re.compile(
    r"(?:(?P<user>\w[\w.-]*)@)?(?P<host>\w[\w.-]*|\[[0-9A-Fa-f:]+(?:%\w+)?\])(?::(?P<port>\d{1,5}))?/?"
)


def open_ssh(address: str) -> RemoteDevice:
    """The board at `address`, the part after "ssh://"; raises UsageError (EC2023) unless it is an address."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        fix = "write ssh://host, ssh://user@host or ssh://user@host:port"
        raise UsageError(Problem("EC2023", "not an ssh address", "--device", f"ssh://{address}", fix))
    user, host, port = match.group("user", "host", "port")
    destination = f"{user}@{host}" if user else host
    return RemoteDevice(SshTransport(f"ssh://{address}", destination, port))


@dataclass
class SshTransport:
    """OpenSSH's ssh and scp. All commands of a session share one connection, made by the first."""

    name: str
    destination: str
    port: str | None
    program: str = "ssh"
    install: str = "apt install openssh-client"
    temporary: str = "/tmp"
    _sockets: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def open(self) -> None:
        self._sockets = tempfile.TemporaryDirectory(prefix="edgecompile-ssh-")

    def close(self) -> None:
        """End the shared connection."""
        if self._sockets is not None:
            command = ["ssh", *self._options("-p"), "-O", "exit", self._bare_destination()]
            run_program(command, timeout_s=30)
            self._sockets.cleanup()
            self._sockets = None

    def shell(self, command: str) -> list[str]:
        return ["ssh", *self._options("-p"), self._bare_destination(), command]

    def push(self, files: Sequence[Path], folder: str) -> list[str]:
        return ["scp", "-q", *self._options("-P"), *map(str, files), f"{self.destination}:{folder}/"]

    def pull(self, file: str, folder: Path) -> list[str]:
        return ["scp", "-q", *self._options("-P"), f"{self.destination}:{file}", f"{folder}/"]

    def advice(self, message: str) -> str:
        login = f"ssh {f'-p {self.port} ' if self.port else ''}{self._bare_destination()}"
        if "Host key verification failed" in message:
            return f"connect once by hand to accept its key: {login}"
        if "Permission denied" in message:
            return f"set up a key: {login.replace('ssh', 'ssh-copy-id', 1)}"
        return f"check that this works: {login}"

    def _bare_destination(self) -> str:
        """ssh takes an IPv6 address without the brackets that scp needs."""
        return self.destination.replace("[", "").replace("]", "")

    def _options(self, port_flag: str) -> list[str]:
        """Never ask a question, notice a dead connection within 20 s, share the connection."""
        options = ["BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=5", "ServerAliveCountMax=4"]
        if self._sockets is not None:
            socket = Path(self._sockets.name) / "c"
            options += ["ControlMaster=auto", f"ControlPath={socket}", "ControlPersist=60"]
        port = [port_flag, self.port] if self.port else []
        return [word for option in options for word in ("-o", option)] + port
