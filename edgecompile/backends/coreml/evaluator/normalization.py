"""Normalizations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.backends.coreml.evaluator.program import Array
from edgecompile.backends.coreml.evaluator.registry import computes


@computes("batch_norm")
def batch_norm(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    return _affine((x - _channels(mean, x)) / np.sqrt(_channels(variance, x) + epsilon), gamma, beta)


@computes("instance_norm")
def instance_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, epsilon: float = 1e-5
) -> Array:
    return _affine(_normalized(x, tuple(range(2, x.ndim)), epsilon), gamma, beta)


@computes("layer_norm")
def layer_norm(
    x: Array,
    axes: Sequence[int] | None = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    chosen = tuple(range(x.ndim) if axes is None else sorted(int(axis) % x.ndim for axis in axes))
    result = _normalized(x, chosen, epsilon)
    shape = [size if axis in chosen else 1 for axis, size in enumerate(x.shape)]
    result = result if gamma is None else result * gamma.reshape(shape)
    return result if beta is None else result + beta.reshape(shape)


@computes("l2_norm")
def l2_norm(x: Array, epsilon: float = 1e-6) -> Array:
    total = np.square(x).sum((-3, -2, -1), keepdims=True)
    return np.asarray(x / np.sqrt(total + epsilon))


@computes("local_response_norm")
def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    half = int(size) // 2
    padded = np.pad(np.square(x), [(0, 0), (half, half), *[(0, 0)] * (x.ndim - 2)])
    total = sum(padded[:, shift : shift + x.shape[1]] for shift in range(int(size)))
    return x / np.power(k + alpha / size * total, beta)


def _normalized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    mean = x.mean(axes, keepdims=True)
    variance = np.square(x - mean).mean(axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(variance + epsilon))


def _affine(x: Array, gamma: Array | None, beta: Array | None) -> Array:
    x = x if gamma is None else x * _channels(gamma, x)
    return x if beta is None else x + _channels(beta, x)


def _channels(vector: Array, x: Array) -> Array:
    return vector.reshape(-1, *[1] * (x.ndim - 2))
