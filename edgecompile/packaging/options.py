"""What `package` may be told, whatever the format."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from edgecompile.errors import Problem, UsageError
from edgecompile.packaging.archive import FIRST_DATE, LAST_DATE
from edgecompile.packaging.sign import Signer

Weights = Literal["inside", "section", "partition", "file"]
# What --place can move: all of the network, or its code, its weights, its working memory.
SUBJECTS = ("model", "code", "weights", "arena")

_VERSION = re.compile(r"(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}")
_REGION = re.compile(r"[A-Za-z_]\w{0,62}(:[A-Za-z_]\w{0,62})?")
_LICENSE = re.compile(r"[A-Za-z0-9.+ ()-]{0,200}")


@dataclass(frozen=True)
class PackageOptions:
    """How to package.

    `version` is the package's own, three numbers. `license` is the network's, as an SPDX expression, "" when
    it is not said. `weights` says where they are: "inside" the library, in a "section" for the linker to
    place, or apart from it in a "partition" of the flash or a "file". `place` maps a subject (SUBJECTS) to a
    memory of the linker script, or to "MEMORY:STORE", STORE being where it is kept without power. `date` is
    in seconds since 1970. `signer` signs what can be signed. Raises UsageError (EC2562).
    """

    version: str = "1.0.0"
    license: str = ""
    weights: Weights = "inside"
    place: Mapping[str, str] = field(default_factory=dict)
    date: int = FIRST_DATE
    signer: Signer | None = None

    def __post_init__(self) -> None:
        problems = []
        if not _VERSION.fullmatch(self.version):
            problems.append(_bad("--version", self.version, "write three numbers, such as 1.2.0"))
        if not _LICENSE.fullmatch(self.license):
            problems.append(_bad("--license", self.license, "write an SPDX expression, such as Apache-2.0"))
        if self.weights not in get_args(Weights):
            problems.append(_bad("--weights", self.weights, f"one of {', '.join(get_args(Weights))}"))
        for subject, region in self.place.items():
            if subject not in SUBJECTS or not _REGION.fullmatch(region):
                fix = f"write SUBJECT:MEMORY or SUBJECT:MEMORY:STORE; subjects are {', '.join(SUBJECTS)}"
                problems.append(_bad("--place", f"{subject}:{region}", fix))
        if problems:
            raise UsageError(*problems)


def _bad(option: str, value: str, fix: str) -> Problem:
    return Problem("EC2562", "bad option value", option, f"'{value[:80]}'", fix)


def parse_place(texts: tuple[str, ...]) -> dict[str, str]:
    """Read "model:ITCM"; PackageOptions checks the words."""
    pairs = (text.partition(":") for text in texts)
    return {subject: region for subject, _, region in pairs}


def source_date(environment: Mapping[str, str] = os.environ) -> int:
    """$SOURCE_DATE_EPOCH, else the first date a zip archive can state: a package never holds the clock.

    Raises UsageError (EC2561).
    """
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return FIRST_DATE
    if not text.isdecimal() or not FIRST_DATE <= int(text) <= LAST_DATE:
        why = f"'{text[:40]}' is no number of seconds from {FIRST_DATE} to {LAST_DATE}"
        raise UsageError(Problem("EC2561", "bad SOURCE_DATE_EPOCH", "", why, "unset it, or correct it"))
    return int(text)
