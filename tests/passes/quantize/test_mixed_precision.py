"""The search for the layers that must compute in float."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.errors import InputError
from edgecompile.passes.quantize.mixed_precision import RETURNS, MixedPrecision, choose_float_layers

_LAYERS = tuple("abcdefghijklmnop")


class Scorer:
    """A score of 100, less by the `costs` of all layers that are not in float."""

    def __init__(self, costs: Mapping[str, float]) -> None:
        self.costs = costs
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, kept: Sequence[str]) -> float:
        self.asked.append(tuple(kept))
        return 100.0 - sum(cost for layer, cost in self.costs.items() if layer not in kept)


def search(scorer: Scorer, drop: float, layers: Sequence[str] = _LAYERS) -> MixedPrecision:
    return choose_float_layers(scorer, 100.0, drop, lambda: layers)


def test_a_score_that_holds_keeps_nothing() -> None:
    def unneeded() -> Sequence[str]:
        raise AssertionError

    found = choose_float_layers(Scorer({"a": 0.4}), 100.0, 0.5, unneeded)
    assert (found.kept, found.score, len(found.trials)) == ((), 99.6, 1)


def test_the_fewest_of_the_most_sensitive() -> None:
    scorer = Scorer(dict.fromkeys("abcde", 1.0))
    found = search(scorer, 0.5)
    assert found.kept == tuple("abcde")
    assert found.score == 100.0
    assert [trial.kept for trial in found.trials] == scorer.asked
    # none, 1, 2, 4, 8, 6, 5 of them; then what could be given back
    assert [len(kept) for kept in scorer.asked[:7]] == [0, 1, 2, 4, 8, 6, 5]


def test_layers_that_are_not_needed_are_given_back() -> None:
    found = search(Scorer({"c": 1.0, "f": 1.0}), 0.5)
    assert found.kept == ("c", "f")


def test_a_drop_within_the_limit_stays() -> None:
    found = search(Scorer({"a": 3.0, "b": 2.0, "c": 1.0}), 1.0)
    assert found.kept == ("a", "b")
    assert found.score == 99.0


@given(st.lists(st.floats(0, 10), min_size=1, max_size=16), st.floats(0, 20))
def test_what_is_found_holds_and_costs_few_scores(costs: list[float], drop: float) -> None:
    scorer = Scorer(dict(zip(_LAYERS, costs, strict=False)))
    layers = _LAYERS[: len(costs)]
    found = search(scorer, drop, layers)
    assert found.score >= 100.0 - drop
    assert found.score == scorer(found.kept)
    assert list(found.kept) == [layer for layer in layers if layer in found.kept]
    assert len(found.trials) <= 2 + 2 * math.ceil(math.log2(len(costs) + 1)) + RETURNS
    assert len({trial.kept for trial in found.trials}) == len(found.trials)


def test_the_record_says_all() -> None:
    record = search(Scorer({"a": 1.0}), 0.5).as_record()
    assert record == {
        "max_accuracy_drop": 0.5,
        "float_score": 100.0,
        "score": 100.0,
        "layers": ["a"],
        "trials": [{"layers": [], "score": 99.0}, {"layers": ["a"], "score": 100.0}],
    }


@pytest.mark.parametrize("layers", [(), ("a",), _LAYERS])
def test_a_score_that_never_holds(layers: Sequence[str]) -> None:
    with pytest.raises(InputError) as caught:
        choose_float_layers(lambda kept: 90.0, 100.0, 0.5, lambda: layers, "scores:top1")
    message = str(caught.value)
    assert "error[EC3401] no choice of layers in float keeps the drop within 0.5 at 'scores:top1'" in message
    assert "the float network scores 100, and 90 with all layers in float again" in message
    assert "fix its seeds" in message


@pytest.mark.parametrize("scores", [(math.nan, 1.0), (1.0, math.nan)])
def test_a_score_that_is_no_number(scores: tuple[float, float]) -> None:
    with pytest.raises(InputError) as caught:
        choose_float_layers(lambda kept: scores[1], scores[0], 0.5, lambda: _LAYERS, "scores:top1")
    message = str(caught.value)
    assert "error[EC3402] the score is not a number (NaN) at 'scores:top1'" in message
    assert "return a number for every network" in message
