"""The networks to measure, and what they cost before anything is compiled."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from edgecompile.core.pipeline import Pipeline
from edgecompile.errors import Problem, UnsupportedError, UsageError, did_you_mean
from edgecompile.frontend.load import import_limits, import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.inspect import inspect_source
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.prove import generate_inputs, index_bounds
from edgecompile.passes.unify_integer_types import UnifyIntegerTypes
from edgecompile.quantize import QuantizeOptions, quantize_source

DType = Literal["float32", "int8"]

# Input shapes that a network's file leaves open and that do not simply become 1.
SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {"ppocr_angle_cls": {"x": (1, 3, 48, 192)}}
)

# The networks that means are quoted over, and that a quick run measures.
CORE = (
    "ad_autoencoder",
    "crepe_tiny",
    "fastestdet_coco",
    "ic_resnet8",
    "kws_dscnn",
    "mnist_lstm",
    "mobilenetv2_imagenet",
    "resnet20_cifar10",
    "squeezenet1_1_imagenet",
    "vww_mobilenet",
    "ad01_int8",
    "ic_resnet8_int8",
    "kws_ref_int8",
    "vww_96_int8",
)

# Behind the name of a float network's copy in int8.
COPY = "_qdq"

_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"})
_NOISE_SAMPLES = 4
_WEIGHT_BYTES: Mapping[DType, int] = MappingProxyType({"float32": 4, "int8": 1})


@dataclass(frozen=True)
class Network:
    """A file, and its cost: multiply-accumulates of one inference and bytes of weights.

    `dtype` is "int8" for a quantized network, that is one whose graph quantizes or dequantizes.
    """

    path: Path
    dtype: DType
    macs: int
    weight_bytes: int

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def input_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return SHAPES.get(self.name, {})


def describe(path: Path) -> Network:
    """Import `path` and count. Raises what importing raises."""
    inspection = inspect_source(str(path), ImportOptions(SHAPES.get(path.stem, {})))
    quantized = any(layer.operator in _QUANTIZING for layer in inspection.layers)
    dtype: DType = "int8" if quantized else "float32"
    return Network(path, dtype, inspection.macs, inspection.parameters * _WEIGHT_BYTES[dtype])


def quantized_copy(network: Network, folder: Path) -> Path:
    """The network in int8, called as before with `COPY` behind it, in `folder`.

    Calibrated on noise: how long integers take does not depend on what they mean. Activations are uint8, the
    form that onnxruntime is fastest with on x86.
    """
    shapes = network.input_shapes
    model, _ = import_through(str(network.path), ImportOptions(shapes), Pipeline(canonicalize_passes()))
    bounds = index_bounds(model)
    samples = [generate_inputs(model.inputs, seed, bounds) for seed in range(_NOISE_SAMPLES)]
    noise, path = folder / f"{network.name}.npz", folder / f"{network.name}{COPY}.onnx"
    arrays: dict[str, Any] = {
        f"in_{i}": np.stack([sample[info.name] for sample in samples]) for i, info in enumerate(model.inputs)
    }
    np.savez(noise, **arrays)
    quantized = quantize_source(str(network.path), QuantizeOptions(str(noise), input_shapes=shapes))
    unsigned = UnifyIntegerTypes("uint8", "uint8")(quantized.model).model
    path.write_bytes(unsigned.to_bytes())
    return path


def find_networks(files: Sequence[str], models: Sequence[str], core: bool) -> list[Path]:
    """The `files` named, else all of the folder `models` in EDGECOMPILE_ZOO that can be imported by kind.

    `models` keeps those with these names, `core` those of `CORE`. Raises UsageError when there is no folder
    (EC2301) or no network called like one of `models` (EC2302).
    """
    paths = [Path(name) for name in files] or _zoo()
    names = [path.stem for path in paths]
    problems = [
        Problem("EC2302", f"no network '{model}'", "--models", "", did_you_mean(model, names))
        for model in models
        if model not in names
    ]
    if problems:
        raise UsageError(*problems)
    if models:
        return [path for path in paths if path.stem in models]
    return [path for path in paths if path.stem in CORE] if core and not files else paths


def _zoo() -> list[Path]:
    zoo = os.environ.get("EDGECOMPILE_ZOO")
    if not zoo:
        fix = "name network files, or set EDGECOMPILE_ZOO to the folder of trained networks"
        raise UsageError(Problem("EC2301", "no networks to measure", "EDGECOMPILE_ZOO", "it is not set", fix))
    files = sorted(Path(zoo, "models").glob("*"))
    return [path for path in files if path.suffix in (".onnx", ".tflite") and _can_be_imported(path)]


def _can_be_imported(path: Path) -> bool:
    """Whether there is a frontend for this kind of file."""
    try:
        import_limits(str(path))
    except UnsupportedError:
        return False
    return True
