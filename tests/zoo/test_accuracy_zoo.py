"""The compiled networks score on real, labelled data what their float originals score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.execute import CompiledNetwork
from tests.zoo.zoo import FOLDER, SHAPES, model_path, needs_zoo, script

pytestmark = needs_zoo

Array = np.ndarray[Any, Any]
Network = Callable[[Array], Array]
Score = Callable[[Network], float]


def _accuracy(name: str, data: str, prepare: str, count: int = 1000) -> Score:
    def score(network: Network) -> float:
        module = script(name)
        arrays = np.load(FOLDER / data)
        result, _ = module.accuracy(
            network, arrays["x"][:count], arrays["y"][:count], getattr(module, prepare), verbose=False
        )
        return float(result["top1"])

    return score


def _imagenet(prepare: str) -> Score:
    def score(network: Network) -> float:
        module = script("eval_imagenet")
        images, labels = module.load(str(FOLDER / "eval_only/data/imagenet"))
        result, _ = module.accuracy(
            network, images, labels, getattr(module, prepare), batch=16, verbose=False
        )
        return float(result["top1"])

    return score


def _direction(network: Network) -> float:
    module = script("eval_textdir")
    images, labels = module.data()
    result, _ = module.accuracy(network, images, labels, lambda x: x, verbose=False)
    return float(result["top1"])


SCORES: dict[str, Score] = {
    "kws_dscnn": _accuracy("eval_kws", "data/kws01.npz", "prep"),
    "mnist_cnn": _accuracy("eval_mnist", "data/mnist.npz", "nchw"),
    "mnist_lstm": _accuracy("eval_mnist", "data/mnist.npz", "seq"),
    "resnet20_cifar10": _accuracy("eval_cifar10", "eval_only/data/cifar10.npz", "norm"),
    "ic_resnet8": _accuracy("eval_cifar10", "eval_only/data/cifar10.npz", "raw"),
    "vww_mobilenet": _accuracy("eval_vww", "eval_only/data/vww_coco.npz", "prep"),
    "mobilenetv2_imagenet": _imagenet("torch"),
    "squeezenet1_1_imagenet": _imagenet("caffe"),
    "crepe_tiny": lambda network: float(script("eval_pitch").main(network)),
    "fastestdet_coco": lambda network: float(
        script("eval_detection").main(network, str(FOLDER / "eval_only/data/coco352"), verbose=False)[0]
    ),
    "ppocr_angle_cls": _direction,
}


@pytest.mark.parametrize("name", SCORES)
def test_accuracy_is_that_of_the_float_network(name: str, tmp_path: Path) -> None:
    options = CompileOptions(find_target("host"), SHAPES.get(name, {}))
    compiled = CompiledNetwork(compile_model(str(model_path(name)), options, tmp_path / "out.edge").artifact)
    # Shares of right answers are equal; the detector's precision is an integral over continuous scores.
    expected = SCORES[name](_float_network(name))
    assert SCORES[name](compiled) == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]


def _float_network(name: str) -> Network:
    session = ort.InferenceSession(str(model_path(name)), providers=["CPUExecutionProvider"])
    argument = session.get_inputs()[0].name

    def run(batch: Array) -> Array:
        return np.concatenate([session.run(None, {argument: sample[None]})[0] for sample in batch])

    return run


_VAD = "silero_vad_16k_sequence"
_NO_STATE = np.zeros((1, 1, 128), np.float32)


def _vad_session() -> Network:
    session = ort.InferenceSession(str(model_path(_VAD)), providers=["CPUExecutionProvider"])
    return lambda frames: session.run(None, {"input": frames, "h": _NO_STATE, "c": _NO_STATE})[0]


def _compile_vad(frames: int, folder: Path) -> CompiledNetwork:
    options = CompileOptions(find_target("host"), {"input": (frames, 576)})
    return CompiledNetwork(compile_model(str(model_path(_VAD)), options, folder / "vad.edge").artifact)


def test_voice_activity_of_whole_clips(tmp_path: Path) -> None:
    module, data = script("eval_vad"), str(FOLDER / "data/vad.npz")
    samples = np.load(data)["x"].shape[1] + 64
    network = _compile_vad(len(range(0, samples - 575, 512)), tmp_path)

    def run(frames: Array) -> Array:
        result = network.run([frames[None], _NO_STATE[None], _NO_STATE[None]])
        probabilities: Array = network.outputs(result, 1)[0][0]
        return probabilities

    assert module.main(run, data, verbose=False) == module.main(_vad_session(), data, verbose=False)


def test_voice_activity_frame_by_frame(tmp_path: Path) -> None:
    """One frame a call: the state goes out and comes back in."""
    network = _compile_vad(1, tmp_path)
    clip = np.load(FOLDER / "data/vad.npz")["x"][0].astype(np.float32) / 32768
    frames = np.stack([clip[i : i + 576] for i in range(0, len(clip) - 575, 512)])[:50]
    hidden = cell = _NO_STATE[None]
    probabilities = []
    for frame in frames:
        result = network.run([frame[None, None], hidden, cell])
        probability, hidden, cell = network.outputs(result, 1)
        probabilities.append(probability.item())
    np.testing.assert_allclose(probabilities, _vad_session()(frames).ravel(), atol=1e-4)
