"""A proof fails when a cut is wrong, and says so when it cannot be right."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.prune import cut as cutting
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.assign import assign
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.fold import Folded
from edgecompile.passes.prune.proof import TOLERANCE, Proof, prove
from tests.passes.prune.cutting import some_units
from tests.passes.prune.nets import Net
from tests.passes.prune.traps import TRAPS


def test_a_cut_that_forgets_what_units_leave_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "fold_constants", lambda *given: Folded())
    model = TRAPS["sigmoid_before_a_convolution"]()
    keep = some_units(analyse(model), 0.5)
    proof = prove(model, cut(model, keep), keep)
    assert proof.exact
    assert proof.max_error > 100 * TOLERANCE
    assert not proof.holds


def test_a_cut_of_other_units_fails() -> None:
    model = TRAPS["residual"]()
    assert not prove(model, cut(model, {"Conv1": [0, 1]}), {"Conv1": [0, 2]}).holds


def _saturated(bias: float) -> Model:
    net = Net("saturated")
    y = net.classify(net.op("Relu", net.padded("x", 3, 8)), 8)
    large = net.op("Add", y, net.const([bias, 0, 0, 0, 0]))
    return net.model({"x": [1, 3, 6, 6]}, net.op("Softmax", large))


def test_a_saturated_softmax_hides_nothing() -> None:
    model = _saturated(bias=1e3)
    keep = {"Conv0": [0, 1, 2]}
    pruned = cut(model, keep)
    assert prove(model, pruned, keep).holds
    bias = pruned.graph.graph.initializers["c1"]
    assert bias.const_value is not None
    assign(bias, bias.const_value.numpy() + np.float32(1))
    assert not prove(model, pruned, keep).holds


def test_cutting_what_is_normalized_is_said_to_be_inexact() -> None:
    model = TRAPS["transformer"]()
    dependencies = analyse(model)
    residual, heads, hidden = (group for group in dependencies.groups if not group.frozen)
    keep = {residual.name: list(range(8))}
    proof = prove(model, cut(model, keep), keep)
    assert not proof.exact
    assert proof.why == (f"group '{residual.name}': {residual.inexact}",)
    assert "LayerNormalization 'LayerNormalization2' takes its mean" in residual.inexact
    exact = {heads.name: [0, 3], hidden.name: list(range(0, 40, 3))}
    assert prove(model, cut(model, exact), exact).exact
    assert prove(model, cut(model, exact), exact).holds


def test_an_inexact_cut_cannot_fail_and_an_exact_one_can() -> None:
    assert Proof(0.5, False, ("reason",)).holds
    assert Proof(TOLERANCE, True).holds
    assert not Proof(2 * TOLERANCE, True).holds
    assert not Proof(float("nan"), True).holds
