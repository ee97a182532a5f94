from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.errors import UnsupportedError
from tests.support.operators import Array, check_node, compiled, node_model

POOL: dict[str, Any] = {
    "ngram_counts": [0, 4],
    "ngram_indexes": [0, 1, 2, 3, 4, 5, 6],
    "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7],
}
ROWS = np.array([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]], np.int32)


@pytest.mark.parametrize("lengths", [(1, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("skip", [0, 2, 9])
@pytest.mark.parametrize("rows", [ROWS, ROWS[1]])
def test_counts(lengths: tuple[int, int], skip: int, rows: Array) -> None:
    low, high = lengths
    attributes = POOL | {"min_gram_length": low, "max_gram_length": high, "max_skip_count": skip}
    check_node("TfIdfVectorizer", [rows], mode="TF", **attributes)


@pytest.mark.parametrize("mode", ["IDF", "TFIDF"])
def test_weights(mode: str) -> None:
    weights = [float(w) for w in np.linspace(0.5, 2, 7)]
    attributes = POOL | {"min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 1}
    check_node("TfIdfVectorizer", [ROWS], mode=mode, weights=weights, **attributes)


def test_words_are_refused() -> None:
    attributes: dict[str, Any] = {"mode": "TF", "min_gram_length": 1, "max_gram_length": 1}
    words: dict[str, Any] = {"ngram_counts": [0], "ngram_indexes": [0], "pool_strings": ["a"]}
    model = node_model("TfIdfVectorizer", [ROWS], max_skip_count=0, **attributes, **words)
    with pytest.raises(UnsupportedError, match="its words are strings"):
        compiled(model, [ROWS], [np.zeros((2, 1), np.float32)])
