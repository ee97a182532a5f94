"""Scaled dot-product attention in one kernel, a block of queries at a time.

The matrix of scores is never stored, unless it is asked for: what a block of queries needs is its rows, which
stay in the first cache. Keys and values of a head are packed once for the micro-kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.compute import (
    Tensor,
    accumulator,
    broadcast_index,
    element_type,
    lowest_value,
    shape_of,
)
from edgecompile.kernels.loops import Buffer, Row, lane_loop, local, nest, span, vector_of
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr, cast, const, exp_negative, select, tanh
from edgecompile.kernels.products import Matrix, Panels, multiply_rows, product_kernel
from edgecompile.kernels.schedules.gemm_plan import choose_register_tile


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
    operands: AttentionOperands,
    heads: Heads,
    scores: Scores,
    present: bool,
    shape: Sequence[int],
    isa: Isa,
    emit: Callable[..., AttentionKernel] | None = None,
) -> list[Tensor]:
    """softmax(scale Q K' + mask) V; then the present keys and values if `present`, and the wanted stage.

    `emit` makes what emits the loops, by default those for a CPU.
    """
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
        kernel = (emit or AttentionKernel)(dict(zip(given, reads, strict=True)), heads, scores, dtype, isa)
        kernel.mask_shape = shape_of(operands.mask) if operands.mask is not None else ()
        kernel.result = writes[0]
        kernel.present = {"key": writes[1], "value": writes[2]} if present else {}
        kernel.stage = writes[-1] if scores.stage is not None else None
        kernel.run()

    return nest("attention", list(given.values()), results, body)


@dataclass(frozen=True)
class Part:
    """Neighbouring keys or values: the first one's position, how many, and how to read an element."""

    first: int
    count: int
    read: Callable[[Expr, Expr], Expr]


@dataclass(frozen=True)
class Place:
    """The key head that is worked on."""

    batch: Expr
    head: Expr


class AttentionKernel:
    """Emits the loops over samples, heads and blocks of queries.

    The queries of all heads that share a key head are the rows of one matrix: head by head.
    """

    result: Buffer
    present: dict[str, Buffer]
    stage: Buffer | None
    mask_shape: tuple[int, ...]

    def __init__(self, reads: dict[str, Buffer], heads: Heads, scores: Scores, dtype: str, isa: Isa) -> None:
        self.reads, self.heads, self.scores, self.dtype = reads, heads, scores, dtype
        self.total = accumulator(dtype)
        self.kernel, machine = product_kernel(isa, self.total), Machine.of(isa)
        lanes = self.kernel.lanes
        self.width = -(-heads.total // lanes) * lanes
        self.row = Row(heads.total, vector=True, lanes=machine.row_lanes)
        self.whole_row = Row(self.width, vector=True, lanes=machine.row_lanes)
        rows = heads.sharing * heads.queries
        self.tile, columns = choose_register_tile(self.kernel, machine, rows, heads.total, heads.size)
        _, own = choose_register_tile(self.kernel, machine, self.tile, heads.value_size, heads.total)
        self.block = self.tile * max(1, machine.l1_bytes // 2 // (4 * self.width * self.tile))
        self.panels = {
            "key": Panels(heads.size, heads.total, columns, lanes),
            "value": Panels(heads.total, heads.value_size, own, lanes),
        }

    def run(self) -> None:
        """All outputs."""
        heads, rows = self.heads, self.heads.sharing * self.heads.queries
        with T.parallel(0, heads.batch * heads.key_heads) as task:
            place = Place(tirx.indexdiv(task, heads.key_heads), tirx.indexmod(task, heads.key_heads))
            for name in self.present:
                self._store_present(name, place)
            keys, values = self._operand("key", place), self._operand("value", place)
            block = min(self.block, rows)
            weights = local(block * self.width, self.total)
            whole, left = divmod(rows, block)
            with T.serial(0, whole) as step:
                self._block(weights, keys, values, place, step * block, block)
            if left:
                self._block(weights, keys, values, place, whole * block, left)

    def _parts(self, name: str, place: Place) -> list[Part]:
        """The cached and the new keys or values ("key", "value") as functions of position and element."""
        heads, new, past = self.heads, self.reads[name], self.reads.get(f"past_{name}")
        size = heads.size if name == "key" else heads.value_size
        batch, head = place.batch, place.head
        parts = [
            Part(0, heads.past, lambda at, e: past[batch, head, at, e]),  # type: ignore[index]
            Part(heads.past, heads.keys, lambda at, e: new[heads.at(batch, head, at, e, size)]),
        ]
        return [part for part in parts if part.count]

    def _store_present(self, name: str, place: Place) -> None:
        """Past and new keys (or values), one behind the other."""
        target, size = self.present[name], int(self.present[name].shape[-1])
        for part in self._parts(name, place):
            with T.serial(0, part.count) as position:

                def store(element: Expr, _: Expr, part: Part = part, position: Expr = position) -> None:
                    value = part.read(position, element)
                    target[place.batch, place.head, part.first + position, element] = value

                Row(size, vector=True, lanes=self.row.lanes).each(store)

    def _operand(self, name: str, place: Place) -> Matrix:
        """Keys as [size, total], or values as [total, value_size].

        They are packed, unless single elements are read wherever they are.
        """
        parts, panels = self._parts(name, place), self.panels[name]
        if self.kernel.lanes == 1 and len(parts) == 1:

            def element(k: Expr, column: Expr, _: int) -> Expr:
                at = (column, k) if name == "key" else (k, column)
                return cast(parts[0].read(*at), self.total)

            return Matrix.in_place(panels.depth, panels.columns, panels.tile, element)
        packed = local(panels.elements, self.total)
        pack = panels.pack_column if name == "key" else panels.pack_row
        for part in parts:
            with T.serial(0, part.count) as at:
                pack(
                    packed,
                    part.first + at,
                    lambda e, part=part, at=at: cast(part.read(at, e), self.total),  # type: ignore[misc]
                )
        panels.clear_padding(packed)
        return panels.matrix(packed)

    def _block(
        self, weights: Buffer, keys: Matrix, values: Matrix, place: Place, first: Expr, count: int
    ) -> None:
        """The results of `count` queries from `first` on; their scores, and then `weights`, stay near."""
        heads, factors = self.heads, local(count, self.total)

        def query(row: Expr, k: Expr, lanes: int) -> Expr:
            head, at = self.owner(place, first + row)
            index = heads.at(place.batch, head, at, k, heads.size)
            value = self.reads["query"][(*index[:-1], span(index[-1], lanes))]
            return cast(value, vector_of(self.total, lanes))

        def score(row: Expr, key: Expr, lanes: int, total: Callable[[Expr], Expr]) -> None:
            with lane_loop(lanes) as lane:
                at = row * self.width + key + lane
                weights[at] = total(lane) * const(self.scores.scale, self.total)

        def write(row: Expr, element: Expr, lanes: int, total: Callable[[Expr], Expr]) -> None:
            head, at = self.owner(place, first + row)
            with lane_loop(lanes) as lane:
                index = heads.at(place.batch, head, at, element + lane, heads.value_size)
                self.result[index] = cast(total(lane) * factors[row], self.dtype)

        multiply_rows(self.kernel, self.tile, count, query, keys, score)
        with T.serial(0, count) as row:
            line = Line(weights, row * self.width, place.batch, *self.owner(place, first + row))
            self._mask(line)
            factors[row] = self._exponentiate(line)
            self._keep(3, line, factors[row])
        multiply_rows(
            self.kernel,
            self.tile,
            count,
            lambda row, k, lanes: weights[span(row * self.width + k, lanes)],
            values,
            write,
        )

    def owner(self, place: Place, row: Expr) -> tuple[Expr, Expr]:
        """The head and the query of a row."""
        if self.heads.sharing == 1:
            return place.head, row
        member = tirx.indexdiv(row, self.heads.queries)
        return place.head * self.heads.sharing + member, tirx.indexmod(row, self.heads.queries)

    def _mask(self, line: Line) -> None:
        """Soft cap and mask of a row of scores; elements that pad it become minus infinity."""
        total, none = self.total, lowest_value(self.total)
        self._keep(0, line)
        if self.scores.softcap:
            cap = const(self.scores.softcap, total)
            self.row.each(lambda key, _: line.set(key, tanh(line[key] / cap) * cap))
        self._keep(1, line)
        if "mask" in self.reads or self._visible(line.batch, line.query, 0):
            self.row.each(
                lambda key, _: line.set(key, self._masked(line[key], line.batch, line.head, line.query, key))
            )
        self._keep(2, line)
        with T.serial(self.heads.total, self.width) as key:
            line.set(key, none)

    def _keep(self, number: int, line: Line, factor: Expr | None = None) -> None:
        """Store a row of stage `number`, if it is wanted."""
        if self.stage is None or self.scores.stage != number:
            return
        stage = self.stage

        def copy(key: Expr, _: Expr) -> None:
            value = line[key] if factor is None else line[key] * factor
            stage[line.batch, line.head, line.query, key] = cast(value, self.dtype)

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

    def _exponentiate(self, line: Line) -> Expr:
        """e^(score - highest) in the place of the scores; returns 1 / their sum.

        That is softmax but for the factor. In a row of minus infinities all elements and the factor are 0.
        """
        total, row = self.total, self.whole_row
        number, partial = local(1, total), local(row.lanes, total)
        highest = row.reduce(partial, lowest_value(total), tirx.max, lambda key: line[key])
        number[0] = select(highest > lowest_value(total), highest, const(0, total))
        sums = local(row.lanes, total)
        row.fill(sums, const(0, total))

        def power(key: Expr, lane: Expr) -> None:
            line.set(key, exp_negative(line[key] - number[0]))
            sums[lane] = sums[lane] + line[key]

        row.each(power)
        summed = row.finish(sums, lambda a, b: a + b)
        return select(summed > const(0, total), const(1, total) / summed, const(0, total))


@dataclass(frozen=True)
class Line:
    """A row of scores in `buffer`, and whose it is."""

    buffer: Buffer
    start: Expr
    batch: Expr
    head: Expr
    query: Expr

    def __getitem__(self, key: Expr) -> Expr:
        return self.buffer[self.start + key]

    def set(self, key: Expr, value: Expr) -> None:
        self.buffer[self.start + key] = value
