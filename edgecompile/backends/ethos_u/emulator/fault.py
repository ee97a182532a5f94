"""What is wrong with a command, found where neither its number nor its name is known."""

from __future__ import annotations

from edgecompile.errors import Problem, UnsupportedError


class Fault(Exception):
    """A command that cannot be executed; `located` says which one."""

    def __init__(self, code: str, what: str, why: str) -> None:
        super().__init__(code, what, why)
        self.code, self.what, self.why = code, what, why

    def located(self, where: str) -> UnsupportedError:
        """The error for the user, at the command `where`."""
        fix = "compile with the ethos-u-vela of edgecompile[ethos-u]; if it stays, report the network"
        return UnsupportedError(Problem(self.code, self.what, where, self.why, fix))
