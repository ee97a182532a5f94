"""What a network costs once it is compiled: bytes of flash or arena, or the latency of one inference.

Every network is compiled for the target as it would be for use. Costs depend on the shapes of weights and not
on their values, so a table remembers them by the network's structure; it may be a file, of use to later runs.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgecompile import __version__
from edgecompile.bench import bench_artifact
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.model import Model
from edgecompile.core.store import write_atomically
from edgecompile.core.target import Target
from edgecompile.errors import InputError, Problem, reason

# What can be asked for: bytes, bytes, and instructions (microseconds where nothing counts instructions).
COMPILED_COSTS = ("flash", "arena", "latency")
_RUNS = 50


@dataclass
class CostTable:
    """Costs of networks on targets, by a digest of both; kept in the JSON file `path` if there is one.

    Raises InputError (EC3523) for a file that holds something else.
    """

    path: Path | None = None
    rows: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))["costs"]
            self.rows = {key: {str(k): float(v) for k, v in row.items()} for key, row in rows.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            what, fix = "cannot read the table of costs", "delete it, or give another file"
            raise InputError(Problem("EC3523", what, str(self.path), reason(error), fix)) from None

    def add(self, key: str, costs: Mapping[str, float]) -> None:
        """Remember `costs`, and write the file."""
        self.rows[key] = {**self.rows.get(key, {}), **costs}
        if self.path is not None:
            data = json.dumps({"schema_version": 1, "costs": self.rows}, indent=1, sort_keys=True)
            write_atomically(self.path, (data + "\n").encode())


@dataclass(frozen=True)
class CompiledCost:
    """The cost `resource` (see `COMPILED_COSTS`) of networks on `target`, measured on `device`.

    Raises what compiling and measuring raise.
    """

    resource: str
    target: Target
    table: CostTable
    device: str | None = None

    def __call__(self, model: Model) -> float:
        key = self._key(model)
        if self.resource not in self.table.rows.get(key, {}):
            self.table.add(key, self._measure(model))
        return self.table.rows[key][self.resource]

    def _measure(self, model: Model) -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="edgecompile-cost-") as folder:
            source = Path(folder) / "candidate.onnx"
            source.write_bytes(model.to_bytes())
            options = CompileOptions(self.target, check_budget=False)
            artifact = compile_model(str(source), options, Path(folder) / "candidate.edge").artifact
            memory = artifact.manifest.memory
            costs = {"flash": float(memory.flash), "arena": float(memory.arena)}
            if self.resource == "latency":
                report = bench_artifact(artifact, self.device, runs=_RUNS)
                costs["latency"] = float(report.instructions or report.p50_us or 0.0)
        return costs

    def _key(self, model: Model) -> str:
        """A digest of the target, the versions and the network without the values of weights."""
        tools = [f"{name} {version(name)}" for name in ("apache-tvm", "onnx")]
        where: list[Any] = [__version__, *tools, self.target, self.device, _structure(model)]
        return hashlib.sha256(repr(where).encode()).hexdigest()


def _structure(model: Model) -> str:
    from onnx.onnx_pb import TensorProto

    proto = model.to_proto()
    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:  # integers are shapes, axes and the like
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
    proto.ClearField("metadata_props")
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()
