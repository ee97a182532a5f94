"""Names, shapes and element types of the tensors at a network's borders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

# The C type of each element type that a network may have at its border. bool is one byte; float16 travels
# as its bit pattern, because C has no portable half type.
C_TYPES: dict[str, str] = {
    "float32": "float",
    "float64": "double",
    "float16": "uint16_t",
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "uint64": "uint64_t",
    "bool": "uint8_t",
}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: `name`, static `shape` (elements), numpy `dtype` name, and quantization when integer."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """A JSON object; quantization keys only when the tensor is quantized."""
        record: dict[str, Any] = {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}
        if self.scale is not None:
            record |= {"scale": self.scale, "zero_point": self.zero_point}
        return record

    @staticmethod
    def from_json(record: dict[str, Any]) -> TensorInfo:
        return TensorInfo(
            record["name"],
            tuple(record["shape"]),
            record["dtype"],
            record.get("scale"),
            record.get("zero_point"),
        )
