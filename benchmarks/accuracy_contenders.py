"""Ways to quantize that the accuracy benchmark compares: our recipes, and onnxruntime's quantizer."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.observe import Sample
from edgecompile.passes.quantize.recipes import find_recipe

Array = np.ndarray[Any, Any]

# So many samples at most are in memory at a time when onnxruntime makes its histograms.
_STRIDE = 8


class Quantize(Protocol):
    """From a prepared float network and samples to the quantized network, QDQ."""

    def __call__(self, model: Model, samples: Sequence[Sample]) -> Model: ...


def _recipe(name: str, model: Model, samples: Sequence[Sample]) -> Model:
    return calibrate(model.copy(), samples, find_recipe(name)).quantized()


class _Reader:
    """Samples in the form that onnxruntime's calibration asks for, a range of them after the other."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self._pending = iter(samples)

    def __len__(self) -> int:
        return len(self._samples)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._pending = iter(self._samples[start_index:end_index])

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self._pending, None)
        return None if sample is None else dict(sample)


def _onnxruntime(method: str, model: Model, samples: Sequence[Sample]) -> Model:
    """onnxruntime's static quantization: weights symmetric and a scale a channel, activations in all of int8.

    It starts from the same prepared network, after its own preprocessing.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    stride = max(size for size in range(1, _STRIDE + 1) if len(samples) % size == 0)
    with tempfile.TemporaryDirectory(prefix="edgecompile-accuracy-") as folder, _quiet():
        given, ready, result = (Path(folder) / f"{name}.onnx" for name in ("given", "ready", "result"))
        given.write_bytes(model.to_bytes())
        quant_pre_process(str(given), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(result),
            _Reader(samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=False,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[method],
            extra_options={"CalibStridedMinMax": stride},
        )
        return Model.from_bytes(result.read_bytes(), model.provenance)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is printed or logged within."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


OURS: Mapping[str, Quantize] = {name: partial(_recipe, name) for name in ("int8", "int8-per-tensor")}
# Entropy is left out: with onnxruntime's default of 128 bins it changes nothing.
PEERS: Mapping[str, Quantize] = {
    f"onnxruntime {method.lower()}": partial(_onnxruntime, method) for method in ("MinMax", "Percentile")
}
CONTENDERS: Mapping[str, Quantize] = {**OURS, **PEERS}
