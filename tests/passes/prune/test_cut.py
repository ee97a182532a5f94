"""Whatever the network, what is left of it computes what the masked network computes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from edgecompile.errors import UnsupportedError
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import generate_inputs, run_model
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.constants import find_constants
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.groups import index_map
from edgecompile.passes.prune.mask import mask_units
from tests.passes.prune.cutting import cut_and_prove, parameters, some_units
from tests.passes.prune.traps import TRAPS

# Networks of which more is lost than the mask shows, and what is said about it.
INEXACT = {
    "plane_added_to_all_channels": "what is left of a unit where 'Conv2' reads it is no single number",
    "sigmoid_gated_by_space": "what is left of a unit where 'Conv6' reads it is no single number",
    "sigmoid_before_a_padded_convolution": "would need another bias at each border of 'Conv2'",
    "sigmoid_before_a_transposed_convolution": "would need another bias at each border of 'ConvTranspose2'",
    "rows_multiplied": "what is left of a unit where 'MatMul9' reads it is no single number",
    "one_head_of_keys_for_all_queries": "where 'MatMul22' reads it is no single number",
    "one_head_of_keys_in_the_operator": "where 'MatMul9' reads it is no single number",
    "transformer": "LayerNormalization 'LayerNormalization2' takes its mean and variance over what is cut",
}


@pytest.mark.parametrize(
    ("prepared", "shares"), [(False, (0.3, 0.5, 0.75)), (True, (0.5,))], ids=["canonical", "prepared"]
)
@pytest.mark.parametrize("name", TRAPS)
def test_the_cut_network_computes_what_the_masked_one_does(
    name: str, prepared: bool, shares: Sequence[float]
) -> None:
    model = TRAPS[name](prepared)
    dependencies = analyse(model)
    sizes = [parameters(model)]
    for share in shares:
        pruned, proof = cut_and_prove(model, dependencies, some_units(dependencies, share))
        assert proof.holds, proof
        assert proof.exact == (name not in INEXACT), proof.why
        assert all(INEXACT[name] in reason for reason in proof.why)
        sizes.append(parameters(pruned))
    assert sizes == sorted(set(sizes), reverse=True)


def test_names_stay_and_each_index_is_accounted_for() -> None:
    model = TRAPS["padded_shortcut"]()
    dependencies = analyse(model)
    keep = some_units(dependencies, 0.5)
    pruned = cut(model, keep, dependencies)
    assert [node.name for node in pruned.graph.graph] == [node.name for node in model.graph.graph]
    table = index_map(dependencies, keep)
    assert table
    for row in table:
        name, axis = str(row["initializer"]), int(str(row["axis"]))
        old, new = (constant_of(m.graph.graph.initializers[name]) for m in (model, pruned))
        assert old is not None
        assert new is not None
        indices = np.array(row["old_indices"])
        assert new.shape[axis] == len(indices)
        if old.ndim == 4 and axis == 0 and new.shape[1:] == old.shape[1:]:
            np.testing.assert_array_equal(new, old[indices])


def test_keeping_everything_changes_nothing() -> None:
    model = TRAPS["attention"]()
    assert cut(model, {}).to_bytes() == model.to_bytes()


@pytest.mark.parametrize(
    "name", ["product_without_bias_that_is_split", "padded_shortcut", "root_mean_square"]
)
def test_what_was_cut_is_cut_again(name: str) -> None:
    """Constants of the second cut go where those of the first went."""
    model = TRAPS[name]()
    for seed in range(3):
        dependencies = analyse(model)
        model, proof = cut_and_prove(model, dependencies, some_units(dependencies, 0.3, seed))
        assert proof.exact
        assert proof.holds
    kinds = [node.op_type for node in model.graph.graph]
    assert kinds.count("Add") <= [node.op_type for node in TRAPS[name]().graph.graph].count("Add") + 1


def test_a_cut_is_repeatable() -> None:
    model = TRAPS["shuffle_and_squeeze_excite"]()
    keep = some_units(analyse(model), 0.5)
    assert cut(model, keep).to_bytes() == cut(model, keep).to_bytes()


def test_what_removed_units_leave_goes_into_biases() -> None:
    """Sigmoid of a bias of 2: all that reads it gets 0.88 times its weights."""
    model = TRAPS["sigmoid_before_a_convolution"]()
    dependencies = analyse(model)
    keep = {dependencies.groups[0].name: [0, 1, 2, 3]}
    inputs = generate_inputs(model.inputs, 5)
    kept = dependencies.kept(keep)
    silenced = find_constants(model, dependencies, kept).silenced
    masked = run_model(mask_units(model, dependencies, kept, silenced), inputs)[0]
    np.testing.assert_allclose(run_model(cut(model, keep, dependencies), inputs)[0], masked, rtol=1e-5)
    assert np.abs(masked - run_model(model, inputs)[0]).max() > 1e-3


def test_everything_wrong_with_a_choice_is_said_at_once() -> None:
    model = TRAPS["residual"]()
    frozen = next(group for group in analyse(model).groups if group.frozen)
    keep = {"Cnv0": [0], "Conv0": [], "Conv1": [0, 99], frozen.name: [0]}
    message = (
        r"EC4520.*no group of that name at 'Cnv0'.*did you mean 'Conv0'\?"
        r".*EC4522.*nothing would be left.*'Conv0'"
        r".*EC4523.*no such unit.*'Conv1': it has the units 0 to 11, not 99"
        rf".*EC4521.*cannot be cut at '{frozen.name}': it is output"
    )
    with pytest.raises(UnsupportedError) as caught:
        cut(model, keep)
    assert re.search(message, str(caught.value), re.DOTALL), caught.value
