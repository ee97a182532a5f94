"""Artifacts for an Ethos-U without golden vectors, and what executing one gives beside the interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.backend import BuildRequest
from edgecompile.backends.ethos_u.backend import EthosUBackend
from edgecompile.backends.ethos_u.execute import run_ethos_u
from edgecompile.core.artifact import Artifact, seal_artifact
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import find_target
from edgecompile.lower.lower import usual_plans
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter


def request_for(target: str, **options: Any) -> BuildRequest:
    """What `compile` asks for without other options."""
    return BuildRequest("net", find_target(target), options.pop("emit", "lib"), usual_plans, **options)


def built(network: Model, folder: Path, request: BuildRequest) -> tuple[Artifact, Model, dict[str, Any]]:
    """An artifact of `network`, the integer graph that it was made of, and figures of the report."""
    backend = EthosUBackend()
    prepared, _ = Pipeline(backend.passes(network, request)).run(network)
    folder.mkdir(exist_ok=True)
    made = backend.build(prepared, request, folder)
    return Artifact(folder, seal_artifact(folder, made.manifest, request.target)), prepared, made.figures


def compare(artifact: Artifact, model: Model, samples: int, device: str | None = None) -> str:
    """Execute on random inputs: integers must be those of `model`. Returns where that was."""
    reference = Interpreter(model)
    feeds = [generate_inputs(model.inputs, seed) for seed in range(samples)]
    columns = [np.stack([feed[info.name] for feed in feeds]) for info in model.inputs]
    executed = run_ethos_u(artifact, device, columns)
    assert executed.level == "executed-in-emulator"
    for index, feed in enumerate(feeds):
        for got, expected in zip(executed.outputs, reference.run(feed), strict=True):
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(got[index], expected, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(got[index], expected)
    return executed.device
