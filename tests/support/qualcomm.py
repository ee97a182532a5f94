"""Networks as Qualcomm's compiler gets them, and what the emulator of the HTP computes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgecompile.backends.qualcomm.backend import configuration
from edgecompile.backends.qualcomm.compiler import session_options
from edgecompile.backends.qualcomm.pipeline import htp_passes
from edgecompile.core.isolate import run_isolated
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import Hexagon, find_target
from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.matching import produced_by

needs_qnn = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime_qnn") is None,
    reason="onnxruntime_qnn not found (pip install onnxruntime-qnn; Linux on x86-64 with glibc 2.35)",
)
_SECONDS = 300.0


def npu(version: int = 73) -> Hexagon:
    """The HTP of this version."""
    return configuration(find_target(f"hexagon-v{version}"))


def prepared(model: Model) -> Model:
    """A copy of `model` after all passes."""
    return Pipeline(htp_passes()).run(model.copy())[0]


def output_step(model: Model) -> float:
    """The real number that one step of the (first) output's integers stands for."""
    node = produced_by(model.graph.graph.outputs[0], "DequantizeLinear")
    assert node is not None
    scale = constant_of(node.inputs[1])
    assert scale is not None
    return float(scale)


def emulated(
    networks: Mapping[str, Model], feeds: Mapping[str, Mapping[str, Array]], version: int = 73
) -> dict[str, Array]:
    """The first output of each of the prepared networks in the emulator, all in one child process."""
    data = {name: (model.to_bytes(), dict(feeds[name])) for name, model in networks.items()}
    outputs: dict[str, Array] = run_isolated(
        _run, data, npu(version), task="executing in the emulator", timeout_s=_SECONDS
    )
    return outputs


def _run(data: Mapping[str, tuple[bytes, dict[str, Array]]], hexagon: Hexagon) -> dict[str, Array]:
    import onnxruntime

    options = session_options(hexagon, 4)
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return {
        name: np.asarray(onnxruntime.InferenceSession(network, options).run(None, feed)[0])
        for name, (network, feed) in data.items()
    }


def files(folder: Path) -> dict[str, bytes]:
    """The files in `folder` by their names."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
