"""What one measurement says, and how it is written down: one line of JSON with a checksum."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from edgecompile.core.device import Metric

# Why there is no figure: it could not be compiled, computed something else, ended by a signal, took too
# long, the device was lost while it ran, or repeated measurements do not agree.
Failure = Literal["build", "wrong", "crash", "timeout", "device", "noisy"]
Json: TypeAlias = Mapping[str, Any]

METRICS: tuple[Metric, ...] = get_args(Metric)
_FAILURES: tuple[str, ...] = get_args(Failure)


@dataclass(frozen=True)
class Workload:
    """What a kernel computes, and for which instruction set: everything that decides how fast it can be.

    `description` is plain data (operators, attributes, shapes, element types, features of the instruction
    set). Equal descriptions have equal keys, in every version and on every machine.
    """

    description: Json

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical JSON, as hexadecimal digits."""
        return hashlib.sha256(canonical(self.description).encode()).hexdigest()


@dataclass(frozen=True)
class Trial:
    """One candidate that was measured on a device.

    `candidate` are the values of the knobs; `value` is the median in seconds or instructions of one
    execution, None for a failure, which `failure` names. `spread` is the coefficient of variation over
    `repeats` measurements. `baseline` is the value of the built-in schedule, measured at the same time by the
    same program: what compares across programs, sessions and devices is `value` divided by it. `device` says
    what it ran on, `versions` what made its code, and `features` are what a cost model is told of the
    candidate.

    With `network`, which names one by what its kernels compute, `value` is of the whole of that network with
    this candidate, and `baseline` with the built-in schedule in its place.
    """

    workload: str
    target: str
    metric: Metric
    candidate: Json
    value: float | None
    device: str
    versions: Mapping[str, str]
    failure: Failure | None = None
    spread: float = 0.0
    repeats: int = 1
    baseline: float | None = None
    features: tuple[float, ...] = ()
    network: str = ""

    @cached_property
    def identity(self) -> str:
        """What makes two trials the same one: everything that they say."""
        return hashlib.sha256(canonical(to_body(self)).encode()).hexdigest()


Record: TypeAlias = Workload | Trial


@dataclass(frozen=True)
class Damage:
    """A line that cannot be read: where it is, and why."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}"


def not_read(damage: Damage) -> str:
    """What is said about a damaged line where records are used."""
    return f"a tuning record was not read: {damage}"


@dataclass(frozen=True)
class Contents:
    """What a file of records holds. `whole` is the length in bytes up to the last complete line."""

    records: tuple[Record, ...] = ()
    damages: tuple[Damage, ...] = ()
    whole: int = field(default=0, compare=False)


def canonical(value: Any) -> str:
    """JSON in one form only. Raises ValueError for NaN and infinity, which JSON has no form for."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode(record: Record) -> bytes:
    """The line of a record, its end included."""
    body = canonical(to_body(record))
    return f'{{"body":{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def decode(line: bytes) -> Record:
    """The record of a line. Raises ValueError saying what is wrong with it."""
    try:
        whole = json.loads(line)
        body, crc = whole["body"], whole["crc"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("it is no record") from None
    if crc != f"{zlib.crc32(canonical(body).encode()):08x}":
        raise ValueError("its checksum is wrong")
    return _from_body(body)


def to_body(record: Record) -> dict[str, Any]:
    """A record as plain data; fields that have their usual value are left out."""
    if isinstance(record, Workload):
        return {"kind": "workload", "description": record.description}
    body: dict[str, Any] = {
        "kind": "trial",
        "workload": record.workload,
        "target": record.target,
        "metric": record.metric,
        "candidate": record.candidate,
        "value": record.value,
        "device": record.device,
        "versions": record.versions,
        "baseline": record.baseline,
        "features": list(record.features),
    }
    if record.network:
        body["network"] = record.network
    if record.failure is not None:
        return body | {"failure": record.failure}
    return body | {"spread": record.spread, "repeats": record.repeats}


def _from_body(body: Json) -> Record:
    try:
        if body["kind"] == "workload":
            return Workload(body["description"])
        if body["kind"] != "trial":
            raise ValueError(f"it is of a kind that is not known: {body['kind']!r}")
        fields = {name: value for name, value in body.items() if name != "kind"}
        trial = Trial(**fields | {"features": tuple(body["features"])})
    except (KeyError, TypeError):
        raise ValueError("it lacks a field, or has one that is not known") from None
    known = trial.metric in METRICS and (trial.failure is None or trial.failure in _FAILURES)
    if not known or (trial.value is None) != (trial.failure is not None):
        raise ValueError("its metric, value and failure do not go together")
    return trial
