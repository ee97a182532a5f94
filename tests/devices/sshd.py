"""A real ssh server on this machine's loopback, with keys and configuration of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Server:
    """`address` is what follows ssh://; `bin` holds ssh and scp that read this server's configuration."""

    port: int
    address: str
    folder: Path
    bin: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def configure_client(self, *lines: str) -> None:
        text = "\n".join(["Host *", f"  UserKnownHostsFile {self.folder}/known_hosts", *lines, ""])
        (self.folder / "client_config").write_text(text)


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Start the server and stop it at the end; skips where OpenSSH's server is not installed."""
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    program = shutil.which("sshd", path=search)
    if program is None or shutil.which("ssh") is None:
        pytest.skip("sshd not found (apt install openssh-server openssh-client)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd demands this folder of root
    server = _start(folder, program)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def _start(folder: Path, program: str) -> Server:
    for name in ("host_key", "user_key", "stranger_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    port = _free_port()
    known = (folder / "host_key.pub").read_text().strip()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    log = (folder / "sshd.log").open("wb")
    process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    _wait_for(port, process, folder / "sshd.log")
    address = f"{getpass.getuser()}@127.0.0.1:{port}"
    server = Server(port, address, folder, _client_programs(folder), process)
    server.configure_client(f"  IdentityFile {folder}/user_key", "  IdentitiesOnly yes")
    return server


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"sshd did not start: {log.read_text()}")


def _client_programs(folder: Path) -> Path:
    """The real ssh and scp, told to leave the person's own configuration alone."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("ssh", "scp"):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F {folder}/client_config "$@"\n')
        script.chmod(0o755)
    return programs
