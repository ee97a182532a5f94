"""Decompress a stream of weights.

A stream is a row of slices. In a slice, weights are indices: into a palette of up to 32 values, or beyond it
direct values (magnitude << 1 | sign). An index is a Golomb-Rice code: a quotient in a unary code of its own,
and a remainder of a fixed number of bits. Runs of zeros between weights may be coded the same way, with plain
unary quotients. Codes come in chunks, so that hardware reads 12 of them at once:

    12 bits WUNARY0, 8 or 12 bits ZUNARY, as many bits WUNARY1 as WUNARY0 has ones,
    then the remainders of the chunk before: of weights, of runs

A bit 0 of WUNARY0 is the quotient 0; a 1 takes a bit b of WUNARY1 and is 1 + b, and with b = 1 the quotient
goes on. Bits are counted from the least significant. Whichever of weights and runs is ahead waits: weights
while they are 8 or more ahead, runs while they are ahead at all. Source: Arm's mlw_codec in Vela
(mlw_decode.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.memory import Array

_NO_RUNS, _END = 6, 7
_UNCOMPRESSED = 7
_CHUNK, _LEAD = 12, 8
# Weights have 9 bits: indices are below 512.
_LIMIT = 512


class _Bits:
    """A position in the stream."""

    def __init__(self, data: bytes) -> None:
        self.end, self.at = 8 * len(data), 0
        self._data = data + bytes(8)
        self._bytes = np.frombuffer(self._data, np.uint8).astype(np.int64)

    def take(self, count: int) -> int:
        """The next `count` bits, at most 32. Fault EC4567 behind the end."""
        first, shift = self.at >> 3, self.at & 7
        self.skip(count)
        return int.from_bytes(self._data[first : first + 5], "little") >> shift & (1 << count) - 1

    def skip(self, count: int) -> None:
        """Pass by `count` bits. Fault EC4567 behind the end."""
        self.at += count
        if self.at > self.end:
            raise Fault("EC4567", "the weights are damaged", "their stream ends in the middle of a slice")

    def gather(self, positions: Array, count: int) -> Array:
        """`count` bits (at most 9) at each position."""
        first = positions >> 3
        pair = self._bytes[first] | self._bytes[first + 1] << 8
        return np.asarray(pair >> (positions & 7) & (1 << count) - 1)


@dataclass
class _Palette:
    """Values that indices stand for; it holds until a slice brings another one."""

    values: list[int] = field(default_factory=list)
    first_direct: int = 0
    value_bits: int = 0

    def read(self, bits: _Bits) -> None:
        """Take the palette from the header of a slice."""
        self.first_direct, size = bits.take(5), bits.take(5)
        self.value_bits = bits.take(3) + 2
        self.values = [bits.take(self.value_bits) for _ in range(size + 1 if size else 0)]

    def index_bits(self) -> int:
        """How many bits an index has that is not compressed."""
        return (len(self.values) - 1).bit_length() if self.values else self.value_bits

    def weights(self, indices: Array) -> Array:
        """The weights that indices stand for. Fault EC4567 for indices of more than 9 bits."""
        if indices.max(initial=0) >= _LIMIT:
            raise Fault("EC4567", "the weights are damaged", f"an index is {indices.max()}")
        direct = np.arange(_LIMIT) + self.first_direct
        table = np.concatenate([np.array(self.values, np.int64), direct])
        chosen = table[indices]
        return np.where(chosen & 1, -(chosen >> 1), chosen >> 1).astype(np.int16)


@dataclass
class _Codes:
    """One of the two kinds of codes in a slice: unary words by chunk, and where their remainders are."""

    total: int
    remainder_bits: int
    begun: int = 0
    words: list[tuple[int, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether unary words are still to come."""
        return self.begun < self.total

    def begin(self, count: int, first: int, second: int = 0) -> int:
        """A chunk with that many codes; how many of them have remainders."""
        count_left = min(count, self.total - self.begun)
        self.begun += count
        self.words.append((first, second))
        return count_left

    def end(self, bits: _Bits, count: int) -> None:
        """Pass by the remainders of a chunk."""
        self.counts.append(count)
        self.places.append(bits.at)
        bits.skip(count * self.remainder_bits)

    def values(self, bits: _Bits, quotients: Array) -> Array:
        """Quotients and remainders together."""
        counts = np.array(self.counts, np.int64)
        within = np.arange(self.total) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.repeat(np.array(self.places, np.int64), counts) + within * self.remainder_bits
        return (quotients[: self.total] << self.remainder_bits) + bits.gather(places, self.remainder_bits)


def decompress(stream: bytes) -> Array:
    """The weights of a stream, int16. Fault EC4567 when it is damaged."""
    bits, slices, palette = _Bits(stream), [], _Palette()
    while (run_bits := _next_slice(bits)) != _END:
        if run_bits in (4, 5):
            raise Fault("EC4567", "the weights are damaged", f"ZDIV is {run_bits}")
        slices.append(_slice(bits, run_bits, palette))
    return np.concatenate(slices) if slices else np.zeros(0, np.int16)


def _next_slice(bits: _Bits) -> int:
    """ZDIV, the first field of a slice, or _END. Ends are followed by bytes of ones, or by more slices."""
    while bits.end - bits.at >= 3:
        found = bits.take(3)
        if found != _END:
            return found
        bits.at = -(-bits.at // 8) * 8
    return _END


def _slice(bits: _Bits, run_bits: int, palette: _Palette) -> Array:
    total, weight_bits = bits.take(15) + 1, bits.take(3)
    is_short, brings_palette = bits.take(1), bits.take(1)
    if brings_palette:
        palette.read(bits)
    is_plain, has_runs = weight_bits == _UNCOMPRESSED, run_bits != _NO_RUNS
    weights = _Codes(total, palette.index_bits() if is_plain else weight_bits)
    runs = _Codes(total + brings_palette if has_runs else 0, run_bits)
    run_length = _CHUNK if run_bits < 3 else _LEAD
    weights_left = runs_left = -1
    while weights.is_open or runs.is_open or max(weights_left, runs_left) >= 0:
        lead = weights.begun - runs.begun if has_runs else 0
        takes_weights, takes_runs = lead < _LEAD and weights.is_open, lead >= 0 and runs.is_open
        first = bits.take(_CHUNK) if takes_weights and not is_plain else 0
        run = bits.take(run_length) if takes_runs else 0
        second = bits.take(first.bit_count())
        if weights_left >= 0:
            weights.end(bits, weights_left)
        if runs_left >= 0:
            runs.end(bits, runs_left)
        size = _LEAD if is_plain and weights.remainder_bits > 5 else _CHUNK
        codes = size if is_short else size - second.bit_count()
        weights_left = weights.begin(codes, first, second) if takes_weights else -1
        runs_left = runs.begin(run_length - run.bit_count(), run) if takes_runs else -1
    quotients = np.zeros(total, np.int64) if is_plain else _weight_quotients(weights, bool(is_short))
    values = palette.weights(weights.values(bits, quotients))
    if not has_runs:
        return values
    return _spread(values, runs.values(bits, _run_quotients(runs, run_length)), bool(brings_palette))


def _weight_quotients(codes: _Codes, is_short: bool) -> Array:
    words = np.array(codes.words, np.int64)
    ones = words[:, :1] >> np.arange(_CHUNK) & 1
    more = words[:, 1:] >> np.maximum(np.cumsum(ones, axis=1) - 1, 0) & 1
    steps = (ones * (1 + more)).ravel()
    is_last = np.ones(steps.size, bool) if is_short else steps < 2
    return np.diff(np.cumsum(steps)[is_last], prepend=0)


def _run_quotients(codes: _Codes, length: int) -> Array:
    words = np.array(codes.words, np.int64)[:, :1]
    ones = (words >> np.arange(length) & 1).ravel()
    return np.diff(np.cumsum(ones)[ones == 0], prepend=0)


def _spread(values: Array, runs: Array, has_first: bool) -> Array:
    """Weights with runs of zeros behind them, and the first run before the first if there is one."""
    first, behind = (int(runs[0]), runs[1:]) if has_first else (0, runs)
    places = first + np.arange(values.size) + np.cumsum(behind) - behind
    result = np.zeros(first + values.size + int(behind.sum()), np.int16)
    result[places] = values
    return result
