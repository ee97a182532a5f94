"""Where the trained models are, and how each one is imported and scored."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgecompile.quantize import QuantizeOptions, quantize_source, write_result

FOLDER = Path(os.environ.get("EDGECOMPILE_ZOO", ""))
needs_zoo = [
    pytest.mark.zoo,
    pytest.mark.skipif(
        "EDGECOMPILE_ZOO" not in os.environ,
        reason="EDGECOMPILE_ZOO is not set: it names the folder of trained models",
    ),
]

# Shapes of inputs that the file leaves open and that do not simply become 1.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "ppocr_angle_cls": {"x": (1, 3, 48, 192)},
    "silero_vad_16k_sequence": {"input": (8, 576)},
}
MODELS = (
    "ad_autoencoder",
    "basic_pitch_nmp",
    "crepe_tiny",
    "fastestdet_coco",
    "ic_resnet8",
    "kws_dscnn",
    "kws_dscnn_ref",
    "mnist_cnn",
    "mnist_lstm",
    "mobilenetv2_imagenet",
    "ppocr_angle_cls",
    "resnet20_cifar10",
    "silero_vad_16k_sequence",
    "squeezenet1_1_imagenet",
    "ultraface_rfb320",
    "vww_mobilenet",
)
CLASSIFIERS = frozenset(MODELS) - {
    "ad_autoencoder",
    "basic_pitch_nmp",
    "crepe_tiny",
    "fastestdet_coco",
    "silero_vad_16k_sequence",
    "ultraface_rfb320",
}
MICRO_MODELS = ("kws_dscnn", "vww_mobilenet", "ic_resnet8", "ad_autoencoder", "mnist_cnn", "mnist_lstm")


@dataclass(frozen=True)
class Golden:
    """Inputs and the outputs of onnxruntime, in the network's order."""

    inputs: list[np.ndarray[Any, Any]]
    outputs: list[np.ndarray[Any, Any]]


def model_path(name: str) -> Path:
    """The ONNX file of a model."""
    return FOLDER / "models" / f"{name}.onnx"


def quantized_path(name: str, folder: Path) -> Path:
    """The network in int8: a TensorFlow Lite file, or calibrated with its golden inputs, in `folder`."""
    file = FOLDER / "models" / f"{name}.tflite"
    if file.exists():
        return file
    np.savez(folder / "samples.npz", in_0=golden(name).inputs[0])
    options = QuantizeOptions(str(folder / "samples.npz"), input_shapes=SHAPES.get(name, {}))
    write_result(quantize_source(str(model_path(name)), options), folder / "net.onnx")
    return folder / "net.onnx"


def golden(name: str) -> Golden:
    """The golden vectors of a model."""
    with np.load(FOLDER / "golden" / f"{name}.npz") as arrays:
        inputs = [arrays[key] for key in arrays.files if key.startswith("in_")]
        outputs = [arrays[key] for key in sorted(arrays.files) if key.startswith("out_")]
    return Golden(inputs, outputs)


def script(name: str) -> ModuleType:
    """One of the folder's evaluation scripts as a module."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))
