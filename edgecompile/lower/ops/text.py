"""Counts of n-grams."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Tensor, shape_of
from edgecompile.kernels.loops import Buffer, each, nest
from edgecompile.kernels.math import Expr, cast, const, select
from edgecompile.lower.registry import Kind, NodeView, op


@op("TfIdfVectorizer", kind=Kind.OPAQUE)
def tf_idf_vectorizer(n: NodeView) -> Tensor:
    """How often each n-gram of a pool occurs in a row of numbers, weighted.

    A gram is a number of elements at equal distances of 1 to max_skip_count + 1.
    """
    if n.attr("pool_int64s") is None:
        raise n.unsupported("its words are strings", "map them to numbers before the network")
    data, info = n.input(0), n.outputs[0]
    rows = shape_of(data)[:-1]
    grams = _pool(n)
    outputs = info.shape[-1]
    weights = n.weight(_weights(n, outputs), "weights")
    tables = [n.weight(words, f"grams{length}") for length, (words, _) in grams.items()]
    places = [n.weight(index, f"places{length}") for length, (_, index) in grams.items()]

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        result = writes[0]
        source, scale, pools = reads[0], reads[1], reads[2:]
        with each(rows) as row:
            with each((outputs,)) as (place,):
                result[(*row, place)] = const(0, info.dtype)
            for position, length in enumerate(grams):
                pool = pools[position], pools[len(grams) + position]
                _count(n, (source, *pool), result, row, length, shape_of(data)[-1])
            with each((outputs,)) as (place,):
                count = result[(*row, place)]
                if n.attr("mode") == "IDF":
                    count = select(count > const(0, info.dtype), const(1, info.dtype), count)
                result[(*row, place)] = count * scale[place]

    return nest("tf_idf", [data, weights, *tables, *places], [(info.shape, info.dtype)], body)[0]


def _count(
    n: NodeView,
    reads: tuple[Buffer, Buffer, Buffer],
    result: Buffer,
    row: tuple[Expr, ...],
    length: int,
    extent: int,
) -> None:
    """Add 1 to the result for every place in the row where a gram of `length` is found."""
    source, words, places = reads
    skips = 1 if length == 1 else int(n.attr("max_skip_count")) + 1
    for distance in range(1, skips + 1):
        starts = extent - (length - 1) * distance
        if starts <= 0:
            continue
        with each((starts, int(words.shape[0]))) as (start, gram):
            found = [
                tirx.EQ(cast(source[(*row, start + k * distance)], "int64"), words[gram, k])
                for k in range(length)
            ]
            with T.If(tirx.all(*found)), T.Then():
                place = (*row, places[gram])
                result[place] = result[place] + const(1, "float32")


def _pool(n: NodeView) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By length, from min to max: the grams [count, length] and the places of their counts in the result."""
    words = np.array(n.attr("pool_int64s"), np.int64)
    starts = [*n.attr("ngram_counts"), len(words)]
    indexes = np.array(n.attr("ngram_indexes"), np.int32)
    pool, seen = {}, 0
    for length, (start, end) in enumerate(pairwise(starts), start=1):
        grams = words[start:end].reshape(-1, length)
        if len(grams) and n.attr("min_gram_length") <= length <= n.attr("max_gram_length"):
            pool[length] = (grams, indexes[seen : seen + len(grams)])
        seen += len(grams)
    return pool


def _weights(n: NodeView, outputs: int) -> np.ndarray:
    """The factor of each count in the result."""
    factors = np.ones(outputs, np.float32)
    weights = n.attr("weights")
    if weights is not None and n.attr("mode") != "TF":
        factors[list(n.attr("ngram_indexes"))] = weights
    return factors
