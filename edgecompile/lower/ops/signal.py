"""DFT, STFT, and the tables of audio front ends, which are computed at compile time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import te

from edgecompile.kernels.compute import accumulator, shape_of
from edgecompile.kernels.compute_signal import Twiddles, dft, stft
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("DFT", kind=Kind.ANCHOR, static=(1, 2))
def dft_op(n: NodeView) -> Tensor:
    """DFT of opset 20: inputs signal, dft_length, axis; one-sided and inverse forms included."""
    out, extents = n.outputs[0], shape_of(n.input(0))
    axis = (int(n.require_const(2).item()) if _given(n, 2) else -2) % len(extents)
    inverse, onesided = bool(n.attr("inverse", 0)), bool(n.attr("onesided", 0))
    mirrored = inverse and onesided
    length = 2 * (extents[axis] - 1) if mirrored else extents[axis]
    if _given(n, 1):
        length = int(n.require_const(1).item())
    real, imaginary = _twiddles(n, length, inverse, out.dtype)
    return dft(n.input(0), real, imaginary, axis, mirrored, out.shape)


@op("STFT", kind=Kind.ANCHOR, static=(1, 3))
def stft_op(n: NodeView) -> Tensor:
    """STFT: inputs signal, frame_step, window, frame_length."""
    out = n.outputs[0]
    window = n.input(2) if n.has(2) else None
    if window is not None:
        length = shape_of(window)[0]
    elif _given(n, 3):
        length = int(n.require_const(3).item())
    else:
        length = shape_of(n.input(0))[1]
    real, imaginary = _twiddles(n, length, False, out.dtype)
    return stft(n.input(0), window, real, imaginary, int(n.require_const(1).item()), out.shape)


@op("HannWindow", kind=Kind.OPAQUE, static=(0,))
def hann_window(n: NodeView) -> Tensor:
    """0.5 - 0.5 cos(2 pi i / N)."""
    return _window(n, lambda turn: 0.5 - 0.5 * np.cos(turn))


@op("HammingWindow", kind=Kind.OPAQUE, static=(0,))
def hamming_window(n: NodeView) -> Tensor:
    """25/46 - 21/46 cos(2 pi i / N)."""
    return _window(n, lambda turn: 25 / 46 - 21 / 46 * np.cos(turn))


@op("BlackmanWindow", kind=Kind.OPAQUE, static=(0,))
def blackman_window(n: NodeView) -> Tensor:
    """0.42 - 0.5 cos(2 pi i / N) + 0.08 cos(4 pi i / N)."""
    return _window(n, lambda turn: 0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn))


@op("MelWeightMatrix", kind=Kind.OPAQUE, static=(0, 1, 2, 3, 4))
def mel_weight_matrix(n: NodeView) -> Tensor:
    """Triangular filters on the mel scale, mel(f) = 2595 log10(1 + f / 700)."""
    bins, length, rate, low, high = (n.require_const(i).item() for i in range(5))
    edges_mel = [2595 * np.log10(1 + hertz / 700) for hertz in (low, high)]
    mels = edges_mel[0] + np.arange(bins + 2) * (edges_mel[1] - edges_mel[0]) / (bins + 2)
    edges = ((length + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate).astype(int)
    matrix = np.zeros((length // 2 + 1, bins))
    for column, (left, centre, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising, falling = np.arange(left, centre + 1), np.arange(centre, right)
        matrix[rising, column] = (rising - left) / (centre - left) if centre > left else 1.0
        if right > centre:
            matrix[falling, column] = (right - falling) / (right - centre)
    return _constant(n, matrix)


def _given(n: NodeView, index: int) -> bool:
    return index < len(n.node.inputs) and n.node.inputs[index] is not None


def _twiddles(n: NodeView, length: int, inverse: bool, dtype: str) -> tuple[Tensor, Tensor]:
    tables = Twiddles.of(length, inverse, accumulator(dtype))
    return n.weight(tables.real, "twiddles_real"), n.weight(tables.imaginary, "twiddles_imaginary")


def _window(n: NodeView, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """A window of a constant size; the symmetric form ends where the periodic one begins again."""
    size = int(n.require_const(0).item())
    period = size if n.attr("periodic", 1) else size - 1
    return _constant(n, function(2 * np.pi * np.arange(size) / period))


def _constant(n: NodeView, array: np.ndarray) -> Tensor:
    """A result that is known at compile time, copied from the weights."""
    out = n.outputs[0]
    table = n.weight(array.astype(out.dtype), "table")
    return te.compute(out.shape, lambda *index: table(*index), name="table")
