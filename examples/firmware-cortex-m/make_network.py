"""Make what the firmware needs: a small network that tells words apart, samples to quantize it, a recording.

Nobody's voice is in it: a word is a tone that rises or falls, or two short ones, as ten bands of a spectrum
over 24 frames, with noise. The convolutions have random weights from a seed, the last layer is fitted by
least squares, so that all of this takes two seconds and needs no training framework.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

FRAMES, BANDS = 24, 10
WORDS = ("noise", "up", "down", "twice")
SPOKEN = (1, 3, 0, 2, 1)
SEED = 7

Array = np.ndarray[Any, Any]


def spectrum(word: int, random: np.random.Generator) -> Array:
    """One word, [FRAMES, BANDS], about 0 to 1."""
    frames, bands = np.arange(FRAMES)[:, None], np.arange(BANDS)[None, :]
    start, length = random.uniform(1, 6), random.uniform(13, 17)
    progress = (frames - start) / length
    spoken = (progress >= 0) & (progress <= 1)
    flat = np.full((FRAMES, 1), random.uniform(2, 7))
    pitch = {"noise": flat, "up": 1 + 7 * progress, "down": 8 - 7 * progress, "twice": flat}
    tone = np.exp(-((bands - pitch[WORDS[word]]) ** 2) / 1.5)
    if WORDS[word] == "twice":
        spoken &= (progress < 0.3) | (progress > 0.7)
    loud = random.uniform(0.6, 1.0) if WORDS[word] != "noise" else 0.0
    return np.asarray(loud * spoken * tone + random.normal(0.1, 0.05, (FRAMES, BANDS)), np.float32)


def dataset(count: int, seed: int) -> tuple[Array, Array]:
    """Spectra [count, 1, FRAMES, BANDS] and the words in them."""
    random = np.random.default_rng(seed)
    words = random.integers(0, len(WORDS), count)
    return np.stack([spectrum(word, random) for word in words])[:, None], words


def weights() -> dict[str, Array]:
    """Everything but the last layer."""
    random = np.random.default_rng(SEED)
    shapes = {"w1": (24, 1, 8, 4), "w2": (24, 1, 3, 3), "w3": (32, 24, 1, 1)}
    scaled = {
        name: random.normal(size=shape) / np.sqrt(np.prod(shape[1:]) / 2) for name, shape in shapes.items()
    }
    return {name: array.astype(np.float32) for name, array in scaled.items()}


def pooled(spectra: Array, w: dict[str, Array]) -> Array:
    """What the last layer sees, [N, 32]: the network below, in NumPy."""
    windows = sliding_window_view(spectra[:, 0], (8, 4), axis=(1, 2))[:, ::2]
    first = np.maximum(np.einsum("nyxab,cab->ncyx", windows, w["w1"][:, 0]), 0)
    deep = sliding_window_view(first, (3, 3), axis=(2, 3))
    second = np.einsum("ncyxab,cab->ncyx", deep, w["w2"][:, 0])
    third = np.maximum(np.einsum("ncyx,oc->noyx", second, w["w3"][:, :, 0, 0]), 0)
    return np.asarray(third.mean(axis=(2, 3)))


def network() -> onnx.ModelProto:
    """The whole network: [1, 1, FRAMES, BANDS] to a score for each of WORDS."""
    values = weights()
    spectra, words = dataset(3000, SEED)
    features = np.column_stack([pooled(spectra, values), np.ones(len(spectra))])
    wanted = np.eye(len(WORDS))[words]
    ridge = 1e-4 * np.eye(features.shape[1])
    fitted = np.linalg.solve(features.T @ features / len(words) + ridge, features.T @ wanted / len(words))
    values |= {"w4": fitted[:-1].T.astype(np.float32), "b4": fitted[-1].astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["spectrum", "w1"], ["c1"], "spectral", strides=[2, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "spectral/relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "depthwise", group=24),
        helper.make_node("Conv", ["c2", "w3"], ["c3"], "pointwise"),
        helper.make_node("Relu", ["c3"], ["r3"], "pointwise/relu"),
        helper.make_node("GlobalAveragePool", ["r3"], ["mean"], "pool"),
        helper.make_node("Flatten", ["mean"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "w4", "b4"], ["scores"], "words", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "keywords",
        [helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, [1, 1, FRAMES, BANDS])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, len(WORDS)])],
        [numpy_helper.from_array(array, name) for name, array in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def recording() -> Array:
    """A few words one after the other, [frames, BANDS], as a microphone's front end would deliver them."""
    random = np.random.default_rng(SEED + 1)
    return np.concatenate([spectrum(word, random) for word in SPOKEN])


def header(frames: Array) -> str:
    """The same in C."""
    rows = ",\n".join("  {" + ", ".join(f"{value:.4f}f" for value in frame) + "}" for frame in frames)
    names = ", ".join(f'"{word}"' for word in WORDS)
    return (
        f"enum {{ WORD_FRAMES = {FRAMES}, BANDS = {BANDS}, RECORDED_FRAMES = {len(frames)} }};\n"
        f"static const char* const words[] = {{{names}}};\n"
        f"static const float recording[RECORDED_FRAMES][BANDS] = {{\n{rows}}};\n"
    )


def main(folder: Path) -> None:
    """Write keywords.onnx, samples.npz, and the recording as recording.h and as recording.f32."""
    folder.mkdir(parents=True, exist_ok=True)
    spectra, words = dataset(200, SEED + 2)
    scores = network()
    (folder / "keywords.onnx").write_bytes(scores.SerializeToString())
    np.savez(folder / "samples.npz", spectrum=spectra)
    frames = recording()
    (folder / "recording.h").write_text(header(frames))
    (folder / "recording.f32").write_bytes(frames.astype("<f4").tobytes())
    values = {item.name: numpy_helper.to_array(item) for item in scores.graph.initializer}
    got = pooled(spectra, values) @ values["w4"].T + values["b4"]
    print(f"keywords.onnx tells {np.mean(got.argmax(1) == words):.1%} of 200 new words")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="where the files go")
    main(parser.parse_args().folder)
