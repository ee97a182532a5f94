"""Samples of a network's inputs and outputs as the bytes that a program around it reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError, Problem

Array = np.ndarray[Any, Any]


def pack(infos: Sequence[TensorInfo], arrays: Sequence[Array]) -> bytes:
    """The bytes of all samples: each sample is its tensors in order, unpadded, little endian.

    Raises InputError (EC3051) when an array's type or shape is not what `infos` says.
    """
    problems = [
        Problem(
            "EC3051",
            "wrong input data",
            info.name,
            f"it is {array.dtype} {array.shape[1:]}, the network takes {info.dtype} {info.shape}",
        )
        for info, array in zip(infos, arrays, strict=True)
        if array.dtype != np.dtype(info.dtype) or array.shape[1:] != info.shape
    ]
    if problems:
        raise InputError(*problems)
    little = [array.astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]
    return b"".join(sample.tobytes() for samples in zip(*little, strict=True) for sample in samples)


def unpack(infos: Sequence[TensorInfo], data: bytes, samples: int) -> tuple[Array, ...]:
    """The inverse of `pack`: one array a tensor, each (samples, *shape)."""
    table = np.frombuffer(data, np.uint8).reshape(samples, -1)
    arrays, start = [], 0
    for info in infos:
        columns = np.ascontiguousarray(table[:, start : start + info.nbytes])
        dtype = np.dtype(info.dtype).newbyteorder("<")
        arrays.append(columns.view(dtype).reshape(samples, *info.shape).astype(info.dtype, copy=False))
        start += info.nbytes
    return tuple(arrays)
