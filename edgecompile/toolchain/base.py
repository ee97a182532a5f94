"""A C toolchain: sources to objects, objects to a static library, both to an executable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompile.core.process import Finished, run_program, zig_environment
from edgecompile.errors import BudgetError, EdgeCompileError, InternalError, MissingToolError, Problem, reason

# Generated code must come out the same in any folder and on any distribution: no debug information, no paths,
# and none of the hardening that distributions switch on, which calls functions a firmware does not have.
_REPRODUCIBLE = (
    "-std=c11",
    "-g0",
    "-fno-ident",
    "-fno-stack-protector",
    "-U_FORTIFY_SOURCE",
    "-fno-asynchronous-unwind-tables",
    "-fno-math-errno",
    "-ffunction-sections",
    "-fdata-sections",
)


@dataclass(frozen=True)
class Toolchain:
    """Commands for one target. `compiler` includes all flags that compiling and linking need.

    `compile_flags` and `link_flags` are for one of the two only; `version_command` prints the version in its
    first line; `install` is the line that installs it all. Every method raises InternalError (EC1020) with
    the first error that the program printed, and MissingToolError (EC5011) when a part such as the C library
    is missing.
    """

    name: str
    compiler: tuple[str, ...]
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    archiver: tuple[str, ...]
    version_command: tuple[str, ...]
    install: str

    def version(self) -> str:
        """Name and version in one line, free of paths."""
        first = self._run(self.version_command, "asking for the version").stdout.strip().splitlines()[0]
        return first if self.name in first else f"{self.name} {first}"

    def compile(self, sources: Sequence[Path], flags: Sequence[str], output: Path) -> Path:
        """One relocatable object from C or assembly `sources`; returns `output`."""
        action = ("-c",) if len(sources) == 1 else ("-r",)
        maps = [f"-ffile-prefix-map={folder}=." for folder in sorted({str(s.parent) for s in sources})]
        options = (*self.compile_flags, *_REPRODUCIBLE, *maps, *flags, *action)
        command = (*self.compiler, *options, *(str(source) for source in sources), "-o", str(output))
        self._run(command, f"compiling {sources[0].name}")
        return output

    def archive(self, objects: Sequence[Path], output: Path) -> Path:
        """A static library with a symbol index, and without times, owners or paths; returns `output`."""
        output.unlink(missing_ok=True)
        command = (*self.archiver, "rcsD", str(output), *(str(item) for item in objects))
        self._run(command, f"archiving {output.name}")
        return output

    def link(self, inputs: Sequence[Path], flags: Sequence[str], output: Path) -> Path:
        """An executable from objects and static libraries; returns `output`.

        Raises BudgetError (EC6010) when it is larger than the memories in its linker script.
        """
        command = (
            *self.compiler,
            *flags,
            *(str(item) for item in inputs),
            *self.link_flags,
            "-o",
            str(output),
        )
        self._run(command, f"linking {output.name}")
        return output

    def _run(self, command: Sequence[str], task: str) -> Finished:
        try:
            finished = run_program(command, environment=zig_environment() if self.name == "zig" else None)
        except OSError as error:
            problem = Problem("EC5011", f"{command[0]} cannot be started", "", reason(error), self.install)
            raise MissingToolError(problem) from error
        if finished.status != 0:
            raise self._failure(finished, task)
        return finished

    def _failure(self, finished: Finished, task: str) -> EdgeCompileError:
        """The typed error for what the program printed."""
        log = finished.stderr
        too_large = re.search(r"region [`'](\w+)' overflowed by (\d+) bytes", log)
        if too_large:
            region, excess = too_large.groups()
            why = f"{region} is {int(excess) / 1024:.1f} kB too small"
            fix = "shrink the network, or execute it on a larger target"
            return BudgetError(
                Problem("EC6010", "the program does not fit the emulated board", task, why, fix)
            )
        missing = re.search(r"cannot find -l\w+|cannot read spec file .*|std\w+\.h: No such file.*", log)
        if missing:
            what = f"{self.name} is installed without a part of it"
            return MissingToolError(Problem("EC5011", what, task, missing.group(0), self.install))
        reason = re.search(r"^.*(\berror: |undefined reference|undefined symbol).*$", log, re.MULTILINE)
        why = reason.group(0).strip() if reason else finished.last_words
        return InternalError(Problem("EC1020", f"{self.name} failed", task, why))
