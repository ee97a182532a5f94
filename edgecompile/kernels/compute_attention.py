"""Scaled dot-product attention in one kernel, one row of scores at a time.

The matrix of scores is never stored, unless it is asked for: what a query needs is one row of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx

from edgecompile.kernels.compute import (
    Tensor,
    accumulator,
    broadcast_index,
    element_type,
    lowest_value,
    shape_of,
)
from edgecompile.kernels.loops import Buffer, Row, Term, each, local, multiply, nest
from edgecompile.kernels.math import Expr, cast, const, exp, select, tanh


@dataclass(frozen=True)
class Heads:
    """Extents of attention. `merged` says that heads lie side by side in the last axis: [B, L, H * D].

    `keys` counts the new keys, `past` those of the cache before them.
    """

    batch: int
    query_heads: int
    key_heads: int
    queries: int
    keys: int
    past: int
    size: int
    value_size: int
    merged: bool

    @property
    def total(self) -> int:
        return self.past + self.keys

    @property
    def sharing(self) -> int:
        """How many query heads share one key head."""
        return self.query_heads // self.key_heads

    def at(self, batch: Expr, head: Expr, position: Expr, element: Expr, size: int) -> tuple[Expr, ...]:
        """Index into the query, key, value or result of heads of `size` elements."""
        if self.merged:
            return (batch, position, head * size + element)
        return (batch, head, position, element)


@dataclass(frozen=True)
class Masking:
    """Which keys a query may see besides the mask: `left` and `right` are window sizes, -1 for no bound."""

    causal: bool = False
    left: int = -1
    right: int = -1


@dataclass(frozen=True)
class Scores:
    """How scores are made: factor, soft cap (0: none), and which stage is a result (None: none)."""

    scale: float
    softcap: float
    masking: Masking
    stage: int | None


@dataclass(frozen=True)
class AttentionOperands:
    """Tensors of attention. `lengths` [B] counts valid keys of each sample; optional ones may be None."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None = None
    past_key: Tensor | None = None
    past_value: Tensor | None = None
    lengths: Tensor | None = None


def attention(
    operands: AttentionOperands, heads: Heads, scores: Scores, present: bool, shape: Sequence[int]
) -> list[Tensor]:
    """softmax(scale Q K' + mask) V; then the present keys and values if `present`, and the wanted stage."""
    dtype = element_type(operands.query)
    results = [(tuple(shape), dtype)]
    if present:
        results += [
            ((heads.batch, heads.key_heads, heads.total, size), dtype)
            for size in (heads.size, heads.value_size)
        ]
    if scores.stage is not None:
        results.append(((heads.batch, heads.query_heads, heads.queries, heads.total), dtype))
    given = {name: tensor for name, tensor in vars(operands).items() if tensor is not None}

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        kernel = _Kernel(dict(zip(given, reads, strict=True)), heads, scores, dtype)
        kernel.mask_shape = shape_of(operands.mask) if operands.mask is not None else ()
        if present:
            kernel.store_present("key", writes[1], heads.size)
            kernel.store_present("value", writes[2], heads.value_size)
        kernel.run(writes[0], writes[-1] if scores.stage is not None else None)

    return nest("attention", list(given.values()), results, body)


@dataclass(frozen=True)
class _Part:
    """Neighbouring keys or values: the first one's position, how many, and how to read an element."""

    first: int
    count: int
    read: Callable[[Expr, Expr, Expr, Expr], Expr]


class _Kernel:
    """Emits the loops over samples, heads and queries."""

    def __init__(self, reads: dict[str, Buffer], heads: Heads, scores: Scores, dtype: str) -> None:
        self.reads, self.heads, self.scores, self.dtype = reads, heads, scores, dtype
        self.total = accumulator(dtype)
        self.mask_shape: tuple[int, ...] = ()
        self.row = Row(heads.total, vector=True)

    def store_present(self, name: str, target: Buffer, size: int) -> None:
        """Past and new keys (or values), one behind the other."""
        heads = self.heads
        with each((heads.batch, heads.key_heads)) as (batch, head):
            for part in self._parts(name):
                with each((part.count, size)) as (position, element):
                    value = part.read(batch, head, position, element)
                    target[batch, head, part.first + position, element] = value

    def run(self, result: Buffer, stage: Buffer | None) -> None:
        """All outputs, and the wanted stage of the scores."""
        heads = self.heads
        keys = local(heads.size * heads.total, self.total)
        row, out = local(heads.total, self.total), local(heads.value_size, self.total)
        with each((heads.batch, heads.key_heads)) as (batch, head):
            self._transpose_keys(keys, batch, head)
            with each((heads.sharing, heads.queries)) as (member, query):
                own = head * heads.sharing + member
                self._score(row, keys, batch, own, query, stage)
                self._softmax(row)
                self._keep(stage, 3, row, batch, own, query)
                values = [self._value_term(row, part, batch, head) for part in self._parts("value")]
                multiply(out, 0, range(heads.value_size), lambda _: const(0, self.total), values)

                def write(element: Expr, _: Expr) -> None:
                    at = heads.at(batch, own, query, element, heads.value_size)
                    result[at] = cast(out[element], self.dtype)

                Row(heads.value_size, vector=True).each(write)

    def _value_term(self, row: Buffer, part: _Part, batch: Expr, head: Expr) -> Term:
        """Probabilities times the values of one part."""
        return Term(
            part.count,
            lambda k: row[part.first + k],
            lambda k, column: cast(part.read(batch, head, k, column), self.total),
        )

    def _parts(self, name: str) -> list[_Part]:
        """The cached and the new keys or values ("key", "value")."""
        heads, new = self.heads, self.reads[name]
        size = heads.size if name == "key" else heads.value_size
        past = self.reads.get(f"past_{name}")
        parts = [
            _Part(0, heads.past, lambda b, h, at, e: past[b, h, at, e]),  # type: ignore[index]
            _Part(heads.past, heads.keys, lambda b, h, at, e: new[heads.at(b, h, at, e, size)]),
        ]
        return [part for part in parts if part.count]

    def _transpose_keys(self, keys: Buffer, batch: Expr, head: Expr) -> None:
        """Keys of one head as [size, total]: scores of neighbouring keys are computed together."""
        for part in self._parts("key"):
            with each((part.count, self.heads.size)) as (position, element):
                value = cast(part.read(batch, head, position, element), self.total)
                keys[element * self.heads.total + part.first + position] = value

    def _score(
        self, row: Buffer, keys: Buffer, batch: Expr, head: Expr, query: Expr, stage: Buffer | None
    ) -> None:
        heads, scores, total = self.heads, self.scores, self.total
        source = self.reads["query"]
        product = Term(
            heads.size,
            lambda k: (
                cast(source[heads.at(batch, head, query, k, heads.size)], total) * const(scores.scale, total)
            ),
            lambda k, column: keys[k * heads.total + column],
        )
        multiply(row, 0, range(heads.total), lambda _: const(0, total), [product])
        self._keep(stage, 0, row, batch, head, query)
        if scores.softcap:
            cap = const(scores.softcap, total)
            self._update(row, lambda key: tanh(row[key] / cap) * cap)
        self._keep(stage, 1, row, batch, head, query)
        self._update(row, lambda key: self._masked(row[key], batch, head, query, key))
        self._keep(stage, 2, row, batch, head, query)

    def _update(self, row: Buffer, function: Callable[[Expr], Expr]) -> None:
        def update(key: Expr, _: Expr) -> None:
            row[key] = function(key)

        self.row.each(update)

    def _keep(
        self, stage: Buffer | None, number: int, row: Buffer, batch: Expr, head: Expr, query: Expr
    ) -> None:
        if stage is not None and self.scores.stage == number:
            self._copy(stage, row, batch, head, query)

    def _copy(self, stage: Buffer, row: Buffer, batch: Expr, head: Expr, query: Expr) -> None:
        def copy(key: Expr, _: Expr) -> None:
            stage[batch, head, query, key] = cast(row[key], self.dtype)

        self.row.each(copy)

    def _masked(self, score: Expr, batch: Expr, head: Expr, query: Expr, key: Expr) -> Expr:
        """The score with the mask added, minus infinity where the key is not to be seen."""
        none = lowest_value(self.total)
        if "mask" in self.reads:
            mask, extent = self.reads["mask"], self.mask_shape[-1]
            position = broadcast_index((batch, head, query, key), self.mask_shape)
            # A shorter mask hides the keys behind its end.
            short = extent < self.heads.total
            if short:
                position[-1] = tirx.min(key, extent - 1)
            value = mask[tuple(position)]
            boolean = str(mask.dtype) == "bool"
            score = select(value, score, none) if boolean else score + cast(value, self.total)
            if short:
                score = select(key < extent, score, none)
        visible = self._visible(batch, query, key)
        return select(tirx.all(*visible), score, none) if visible else score

    def _visible(self, batch: Expr, query: Expr, key: Expr) -> list[Expr]:
        """The conditions besides the mask under which `query` sees `key`."""
        masking, found = self.scores.masking, []
        offset: Expr = self.heads.past
        if "lengths" in self.reads:
            length = cast(self.reads["lengths"][batch], "int32")
            found.append(key < length)
            offset = length - self.heads.queries
        ahead = key - (query + offset)
        if masking.causal:
            found.append(ahead <= 0)
        if masking.left >= 0:
            found.append(ahead >= -masking.left)
        if masking.right >= 0:
            found.append(ahead <= masking.right)
        return found

    def _softmax(self, row: Buffer) -> None:
        """Softmax of a row in place; a row of minus infinities becomes zeros."""
        total, number = self.total, local(1, self.total)
        partial, sums = local(self.row.lanes, total), local(self.row.lanes, total)
        highest = self.row.reduce(partial, lowest_value(total), tirx.max, lambda key: row[key])
        number[0] = select(highest > lowest_value(total), highest, const(0, total))
        self.row.fill(sums, const(0, total))

        def power(key: Expr, lane: Expr) -> None:
            row[key] = exp(row[key] - number[0])
            sums[lane] = sums[lane] + row[key]

        self.row.each(power)
        summed = self.row.finish(sums, lambda a, b: a + b)
        number[0] = select(summed > const(0, total), const(1, total) / summed, const(0, total))
        self._update(row, lambda key: row[key] * number[0])
