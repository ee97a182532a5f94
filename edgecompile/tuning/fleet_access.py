"""How a fleet is reached: the address of its scheduler, and the certificates by which all know each other.

Whoever holds a certificate of the fleet's authority can execute code on its machines, so both sides of every
connection have to show one, and connections that are not encrypted are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgecompile.core.tables import from_table, read_toml
from edgecompile.errors import InputError, MissingToolError, Problem, UsageError

SCHEMA = 1
# No pages over HTTP, no messages that are ours to give; a worker that was not heard of for so long is gone.
_SETTINGS = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "logging": {"distributed": "critical", "distributed.client": "critical"},
    "distributed.scheduler.worker-ttl": "30s",
}


@dataclass(frozen=True)
class Access:
    """A fleet file: `scheduler` is tls://HOST:PORT, the others are PEM files.

    `ca` is the certificate of the fleet's own authority, `certificate` one that it signed, `key` the latter's
    private key. Paths are relative to the fleet file.
    """

    scheduler: str
    ca: str = ""
    certificate: str = ""
    key: str = ""

    @property
    def host(self) -> str:
        """The host of the scheduler."""
        return self.scheduler.partition("://")[2].rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port of the scheduler."""
        return int(self.scheduler.rpartition(":")[2])

    @property
    def protocol(self) -> str:
        """ "tls", or "tcp" where that was allowed."""
        return self.scheduler.partition("://")[0]

    def security(self) -> Any:
        """What Dask takes. Raises MissingToolError (EC5570), UsageError (EC2044) for bad certificates."""
        security = load_distributed().Security
        if self.protocol != "tls":
            return security()
        shown = {
            f"tls_{role}_{part}": path
            for role in ("client", "scheduler", "worker")
            for part, path in (("cert", self.certificate), ("key", self.key))
        }
        made = security(tls_ca_file=self.ca, require_encryption=True, **shown)
        try:
            made.get_connection_args("client")
        except OSError as error:
            what, fix = "the certificates of the fleet cannot be used", "make them as docs/fleet.md says"
            where = ", ".join((self.ca, self.certificate, self.key))
            raise UsageError(Problem("EC2044", what, where, str(error), fix)) from None
        return made


def read_access(path: Path, insecure: bool = False) -> Access:
    """The fleet file at `path`; `insecure` allows tcp://.

    Raises UsageError (EC2041 for a connection without mutual TLS, EC2042 for a bad address), InputError
    (EC3020) for a file that is none.
    """
    table = read_toml(path, "fleet file")
    if table.get("schema") != SCHEMA or "fleet" not in table:
        fix = "begin it with 'schema = 1' and a table [fleet]"
        raise InputError(Problem("EC3020", "not a fleet file", str(path), "", fix))
    found = from_table(Access, table["fleet"], f"{path}: fleet")
    protocol, _, place = found.scheduler.partition("://")
    host, _, port = place.rpartition(":")
    if protocol not in ("tls", "tcp") or not host or not port.isdecimal():
        fix = 'write it like scheduler = "tls://builds.example:8786"'
        raise UsageError(Problem("EC2042", "not the address of a scheduler", found.scheduler, "", fix))
    missing = [name for name in ("ca", "certificate", "key") if not getattr(found, name)]
    if not insecure and (protocol == "tcp" or missing):
        what = "a fleet has to be reached by mutual TLS"
        why = "tcp is not encrypted" if protocol == "tcp" else f"without {', '.join(missing)}"
        fix = "use tls:// with ca, certificate and key; with --insecure, whoever reaches the port is let in"
        raise UsageError(Problem("EC2041", what, found.scheduler, why, fix))
    folder = path.parent.absolute()
    files = {name: str(folder / getattr(found, name)) for name in ("ca", "certificate", "key")}
    return Access(found.scheduler, **files)


def load_distributed() -> ModuleType:
    """Dask's scheduler. Raises MissingToolError (EC5570) without the extra "fleet"."""
    try:
        import dask

        dask.config.set(_SETTINGS)
        import distributed
    except ImportError:
        what, fix = "the package 'distributed' is not installed", "pip install 'edgecompile[fleet]'"
        raise MissingToolError(Problem("EC5570", what, fix=fix)) from None
    module: ModuleType = distributed
    return module
