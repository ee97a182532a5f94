"""The memory regions that a command stream addresses, and what in them has been written.

Region 0 holds constants and is only read; the arena (1) and the fast arena (2) begin unwritten. A read of
bytes that nothing wrote is an error: on the device it would be whatever was there before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault

Array = np.ndarray[Any, Any]


@dataclass
class Region:
    """Bytes, and for each whether it was written (1) or not (0)."""

    data: Array
    written: Array
    is_constant: bool = False

    @classmethod
    def constant(cls, data: bytes) -> Region:
        """A region that is only read."""
        return cls(np.frombuffer(data, np.uint8), np.ones(len(data), np.uint8), is_constant=True)

    @classmethod
    def empty(cls, size: int) -> Region:
        """`size` bytes that nothing wrote."""
        return cls(np.zeros(size, np.uint8), np.zeros(size, np.uint8))


@dataclass(frozen=True)
class Span:
    """Elements in one region: the byte address of the first, a shape, and bytes from one to the next.

    `source` is what an error names: the register that the address came from.
    """

    source: str
    region: int
    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def bounds(self) -> tuple[int, int]:
        """The first byte, and the one after the last."""
        steps = [(count - 1) * stride for count, stride in zip(self.shape, self.strides, strict=True)]
        lowest = self.address + sum(step for step in steps if step < 0)
        return lowest, self.address + sum(step for step in steps if step > 0) + self.dtype.itemsize


class Access(NamedTuple):
    """Bytes from `first` up to `end` of a region that an operation touches."""

    region: int
    first: int
    end: int
    is_write: bool

    def collides(self, other: Access) -> bool:
        """Whether both touch the same byte, and one writes."""
        overlaps = self.first < other.end and other.first < self.end
        return self.region == other.region and overlaps and (self.is_write or other.is_write)


@dataclass
class Memory:
    """Regions by number, and what was touched since `accesses` was last emptied."""

    regions: dict[int, Region] = field(default_factory=dict)
    accesses: list[Access] = field(default_factory=list)

    def read(self, span: Span) -> Array:
        """A copy of the elements. Fault EC4563 outside of the region, EC4564 where nothing was written."""
        data, written = self._views(span)
        if not written.all():
            why = f"{span.source} points at {_hex(span.address)} in region {span.region}"
            raise Fault("EC4564", "bytes are read that nothing wrote", why)
        self.accesses.append(Access(span.region, *span.bounds, is_write=False))
        return data.copy()

    def write(self, span: Span, values: Array) -> None:
        """Store elements. Fault EC4563 outside of the region or into constants."""
        data, written = self._views(span)
        if self.regions[span.region].is_constant:
            why = f"{span.source} is in region {span.region}"
            raise Fault("EC4563", "what may only be read is overwritten", why)
        self.accesses.append(Access(span.region, *span.bounds, is_write=True))
        data[...] = values
        written[...] = 1

    def copy(self, source: Span, target: Span) -> None:
        """Copy bytes; those that nothing wrote stay unwritten. Faults as with `write`."""
        data, written = self._views(source)
        values, states = data.copy(), written[..., 0].copy()
        self.accesses.append(Access(source.region, *source.bounds, is_write=False))
        self.write(target, values)
        self._views(target)[1][..., 0] = states

    def _views(self, span: Span) -> tuple[Array, Array]:
        """The elements, and for each of their bytes (a last axis) whether it was written."""
        region = self.regions.get(span.region)
        first, end = span.bounds
        if region is None or first < 0 or end > region.data.size:
            size = "which does not exist" if region is None else f"which has {region.data.size} bytes"
            place = f"bytes {_hex(first)}-{_hex(end)} of region {span.region}, {size}"
            why = f"{span.source} leads to {place}"
            raise Fault("EC4563", "an address is outside of its region", why)
        data = np.ndarray(span.shape, span.dtype, region.data.data, span.address, span.strides)
        shape, strides = (*span.shape, span.dtype.itemsize), (*span.strides, 1)
        return data, np.ndarray(shape, np.uint8, region.written.data, span.address, strides)


def _hex(address: int) -> str:
    return f"-{-address:#x}" if address < 0 else f"{address:#x}"
