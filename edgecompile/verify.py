"""Prove an artifact: execute the very binary on its golden inputs and compare with the reference.

The expected outputs come from onnxruntime on the imported network, before any pass; those of a network that
computes in integers from the interpreter that specifies them, and there every bit counts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgecompile.core.artifact import NOISE_FACTOR, Artifact, Verification
from edgecompile.core.isolate import run_isolated
from edgecompile.errors import Problem, VerificationError
from edgecompile.execute import (
    Array,
    CompiledNetwork,
    exact_outputs,
    execute,
    load_golden,
    reference_noise,
    unpack,
)

TOLERANCE = 1e-4
REFERENCE_SECONDS = 600.0


@dataclass(frozen=True)
class OutputCheck:
    """One output against its reference.

    `max_error` is the largest |difference| relative to the largest magnitude of the reference; for integers
    and booleans 0.0 or the largest float. `worst` is the index of that element, sample first, with what was
    `got` and `expected` there. `allowed` is the tolerance, or a multiple of the reference's own noise where
    that is larger. `same_class` counts the samples whose largest element is at the same place,
    for float outputs that are one vector of scores a sample.
    """

    name: str
    max_error: float
    worst: tuple[int, ...]
    got: float
    expected: float
    same_class: int | None
    allowed: float = TOLERANCE

    @property
    def passed(self) -> bool:
        return self.max_error <= self.allowed


@dataclass(frozen=True)
class LayerCheck:
    """One step of the binary against the graph's own values, on the first golden sample."""

    symbol: str
    layers: tuple[str, ...]
    max_error: float


@dataclass(frozen=True)
class VerifyReport:
    """What an execution showed; `layers` only when asked for."""

    verification: Verification
    outputs: tuple[OutputCheck, ...]
    layers: tuple[LayerCheck, ...] = ()


def verify_artifact(
    artifact: Artifact,
    device: str | None = None,
    per_layer: bool = False,
    tolerance: float | None = None,
    threads: int = 1,
) -> VerifyReport:
    """Execute the golden inputs on `device` and compare; the result is recorded beside the artifact.

    Without `tolerance` the artifact's own counts.

    Raises UsageError (EC2031) for more `threads` than it was compiled for, and VerificationError (EC9001)
    naming the output, or the first differing layer with `per_layer`.
    """
    inputs, expected = load_golden(artifact)
    tolerance = artifact.manifest.tolerance if tolerance is None else tolerance
    executed = execute(artifact, device, inputs, threads)
    names = [info.name for info in artifact.manifest.outputs]
    exact, noises = exact_outputs(artifact), reference_noise(artifact)
    allowed = [
        0.0 if same else max(tolerance, NOISE_FACTOR * noise)
        for same, noise in zip(exact, noises, strict=True)
    ]
    compared = map(compare, names, executed.outputs, expected)
    checks = tuple(replace(check, allowed=limit) for check, limit in zip(compared, allowed, strict=True))
    layers = _compare_layers(artifact, device, inputs, threads) if per_layer else ()
    worst = max(check.max_error for check in checks)
    passed = all(check.passed for check in checks)
    where, samples = executed.device, len(expected[0])
    verification = Verification(executed.level, where, worst, max(allowed), samples, passed)
    artifact.record_verification(verification)
    if not passed:
        raise VerificationError(*_problems(checks, layers, tolerance, where, per_layer))
    return VerifyReport(verification, checks, layers)


def compare(name: str, got: Array, expected: Array) -> OutputCheck:
    """Compare an output, (samples, *shape). NaN matches NaN only, infinity the same infinity only."""
    if expected.dtype.kind != "f":
        difference = np.where(got == expected, 0.0, np.inf)
        scale = 1.0
    else:
        reference, result = expected.astype(np.float64), got.astype(np.float64)
        same = (result == reference) | (np.isnan(result) & np.isnan(reference))
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0.0, np.abs(result - reference))
        difference = np.where(np.isnan(difference), np.inf, difference)
        scale = float(np.max(np.abs(reference), initial=0.0, where=np.isfinite(reference))) or 1.0
    if difference.size == 0:
        return OutputCheck(name, 0.0, (), 0.0, 0.0, None)
    worst = tuple(int(i) for i in np.unravel_index(int(difference.argmax()), difference.shape))
    error = min(float(difference[worst]) / scale, sys.float_info.max)
    return OutputCheck(
        name, error, worst, float(got[worst]), float(expected[worst]), _same_class(got, expected)
    )


def _same_class(got: Array, expected: Array) -> int | None:
    """Samples whose largest element is at the same place; None when the output is no vector of scores."""
    vector = expected.dtype.kind == "f" and expected.ndim == 3 and expected.shape[1] == 1 < expected.shape[2]
    return int(np.sum(got[:, 0].argmax(-1) == expected[:, 0].argmax(-1))) if vector else None


def _compare_layers(
    artifact: Artifact, device: str | None, inputs: Sequence[Array], threads: int
) -> tuple[LayerCheck, ...]:
    """Compare every step's tensors, in order, with what onnxruntime computes for model.onnx."""
    sample = [array[:1] for array in inputs]
    steps = artifact.manifest.steps
    infos = [info for step in steps for info in step.outputs]
    network = CompiledNetwork(artifact, device, trace=True, threads=threads)
    got = unpack(infos, network.run(sample).trace, 1)
    names = [info.name for info in infos]
    feeds = {info.name: array[0] for info, array in zip(artifact.manifest.inputs, sample, strict=True)}
    expected = run_isolated(
        reference_values,
        (artifact.path / "model.onnx").read_bytes(),
        feeds,
        names,
        task="computing the reference of every layer",
        timeout_s=REFERENCE_SECONDS,
    )
    errors = iter(
        compare(info.name, array[0], expected[info.name].reshape(info.shape)).max_error
        for info, array in zip(infos, got, strict=True)
    )
    return tuple(
        LayerCheck(step.symbol, step.layers, max((next(errors) for _ in step.outputs), default=0.0))
        for step in steps
    )


def reference_values(model: bytes, feeds: dict[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """What onnxruntime computes for the tensors `names` of an ONNX file, without optimising it.

    A file with integer operators is computed by the interpreter that specifies them.
    """
    import onnx
    import onnxruntime

    from edgecompile.core.model import Model, Provenance
    from edgecompile.passes.quantize.interpreter import Interpreter, is_integer

    network = Model.from_bytes(model, Provenance("model.onnx", "", 0))
    if is_integer(network):
        return dict(zip(names, Interpreter(network).run(feeds, names), strict=True))
    proto = onnx.load_model_from_string(model)
    present = {output.name for output in proto.graph.output}
    wanted = [name for name in dict.fromkeys(names) if name not in present]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    fetched = list(dict.fromkeys(names))
    return dict(zip(fetched, session.run(fetched, feeds), strict=True))


def _problems(
    checks: Sequence[OutputCheck],
    layers: Sequence[LayerCheck],
    tolerance: float,
    device: str,
    per_layer: bool,
) -> list[Problem]:
    first = next((layer for layer in layers if not layer.max_error <= tolerance), None)
    if first is not None:
        fix = f"the first layer that differs is {' + '.join(first.layers) or first.symbol}"
        fix += f" (kernel {first.symbol}, error {first.max_error:.3g}); please report it with the model"
    elif per_layer:
        fix = "every layer by itself is right; please report this with the model"
    else:
        fix = "find the layer with --per-layer"
    return [
        Problem(
            "EC9001",
            f"output '{check.name}' on {device} differs from the reference",
            f"index {list(check.worst)}",
            f"got {check.got:.6g}, expected {check.expected:.6g}; "
            f"error {check.max_error:.3g} of the output's range, allowed {check.allowed:.3g}",
            fix,
        )
        for check in checks
        if not check.passed
    ]


__all__ = ["CompiledNetwork", "LayerCheck", "OutputCheck", "VerifyReport", "compare", "verify_artifact"]
