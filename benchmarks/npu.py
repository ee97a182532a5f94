"""What compilers for NPUs make of networks, executed as far as that is possible without the chips.

    python -m benchmarks.npu [--parts ethos-u,htp,core-ml] [--networks NAME,...] [--work FOLDER] [--seconds N]
                             [--json FILE]

A part whose tools are not installed is skipped, with the reason. Every step of a run is kept in the folder
--work, and a run with the same folder goes on from there; after --seconds no further step begins, and the
exit status is 75. It is 1 when a bar does not hold. The rows of one network replace those in the file and the
others stay.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.npu_work import OutOfTimeError, Row, Work
from edgecompile.core.store import write_atomically
from edgecompile.errors import MissingToolError

SCHEMA_VERSION = 1
OUT_OF_TIME = 75
# The module of each part, and the packages that made its figures.
PARTS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ethos-u": ("benchmarks.npu_ethos_u", ("ethos-u-vela",)),
        "htp": ("benchmarks.npu_htp", ("onnxruntime-qnn",)),
        "core-ml": ("benchmarks.npu_coreml", ("coremltools",)),
    }
)


def module_of(part: str) -> Any:
    """What has PART's networks(), measure(work, network) and render(rows)."""
    return import_module(PARTS[part][0])


def measure(part: str, wanted: Sequence[str], work: Work) -> Iterator[Row]:
    """The rows of one part, of all networks or those `wanted`."""
    module = module_of(part)
    for network in module.networks():
        if not wanted or network in wanted:
            print(f"{part}, {network} ...", file=sys.stderr, flush=True)
            yield from module.measure(work, network)


def merged(record: Row, row: Row) -> Row:
    """`record` with `row` in the place of the one of the same network, in the order of parts and networks."""
    rows = [other for other in record.get("rows", []) if _key(other) != _key(row)] + [row]
    order = {part: list(module_of(part).networks()) for part in {other["part"] for other in rows}}
    rows.sort(
        key=lambda other: (list(PARTS).index(other["part"]), order[other["part"]].index(other["network"]))
    )
    versions = record.get("versions", {}) | {name: metadata.version(name) for name in PARTS[row["part"]][1]}
    return {"schema_version": SCHEMA_VERSION, "versions": versions, "rows": rows}


def _key(row: Row) -> tuple[str, ...]:
    return row["part"], row["network"], row["variant"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parsed = _parser().parse_args(arguments)
    record: Row = {}
    if parsed.json is not None and parsed.json.exists():
        record = json.loads(parsed.json.read_text(encoding="utf-8"))
    networks = parsed.networks.split(",") if parsed.networks else []
    found: list[Row] = []
    with _folder(parsed.work) as folder:
        work = Work(folder, time.monotonic() + parsed.seconds)
        for part in parsed.parts.split(","):
            try:
                for row in measure(part, networks, work.below(part)):
                    found.append(row)
                    record = merged(record, row)
                    if parsed.json is not None:
                        write_atomically(parsed.json, (json.dumps(record, indent=2) + "\n").encode())
            except MissingToolError as error:
                print(f"{part} is skipped: {error}", file=sys.stderr)
            except OutOfTimeError:
                print("out of time: go on with the same --work", file=sys.stderr)
                return OUT_OF_TIME
    for part in dict.fromkeys(row["part"] for row in found):
        print(module_of(part).render([row for row in found if row["part"] == part]))
    return 0 if all(row.get("met", True) for row in found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="only these, separated by commas")
    parser.add_argument("--networks", default="", help="only these, separated by commas")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="keep what every step gives there")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no step after so many")
    parser.add_argument("--json", type=Path, metavar="FILE", help="merge the result into it")
    return parser


@contextmanager
def _folder(path: Path | None) -> Iterator[Path]:
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="edgecompile-npu-") as name:
        yield Path(name)


if __name__ == "__main__":
    sys.exit(main())
