from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.compute_signal import Twiddles, dft, stft
from tests.support.kernels import compute
from tests.support.operators import Array, assert_close, normal


def parts(values: Array) -> Array:
    return np.stack([values.real, values.imag], axis=-1).astype("float32")


@pytest.mark.parametrize("length", [1, 7, 8, 12])
@pytest.mark.parametrize("inverse", [False, True])
def test_transform_of_padded_and_cut_signals(length: int, inverse: bool) -> None:
    data = normal(2, 8, 2)
    tables = Twiddles.of(length, inverse, "float32")
    signal = data[..., 0] + 1j * data[..., 1]
    want = parts((np.fft.ifft if inverse else np.fft.fft)(signal, length, axis=1))
    (result,) = compute(
        lambda x, r, i: dft(x, r, i, 1, False, want.shape), data, tables.real, tables.imaginary
    )
    assert_close(result, want, 1e-6)


@pytest.mark.parametrize("length", [8, 9])
def test_a_symmetric_spectrum_has_a_real_origin(length: int) -> None:
    spectrum = normal(3, length // 2 + 1, 2)
    want = np.fft.irfft(spectrum[..., 0] + 1j * spectrum[..., 1], length)[..., None].astype("float32")
    tables = Twiddles.of(length, True, "float32")
    (result,) = compute(
        lambda x, r, i: dft(x, r, i, 1, True, want.shape), spectrum, tables.real, tables.imaginary
    )
    assert_close(result, want, 1e-6)


def test_frames_are_windowed() -> None:
    signal, window = normal(2, 30, 1), np.hanning(8).astype("float32")
    frames = np.stack([signal[:, start : start + 8, 0] * window for start in range(0, 23, 3)], axis=1)
    want = parts(np.fft.rfft(frames))
    tables = Twiddles.of(8, False, "float32")
    (result,) = compute(
        lambda x, w, r, i: stft(x, w, r, i, 3, want.shape), signal, window, tables.real, tables.imaginary
    )
    assert_close(result, want, 1e-6)
