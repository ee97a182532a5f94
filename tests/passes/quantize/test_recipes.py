"""Recipes by name."""

from __future__ import annotations

import pytest

from edgecompile.errors import UsageError
from edgecompile.passes.quantize.recipes import RECIPES, find_recipe


def test_names_and_records_agree() -> None:
    assert all(name == recipe.name and recipe.description for name, recipe in RECIPES.items())
    assert {"int8", "int8-per-tensor"} <= set(RECIPES)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        find_recipe("int8-pertensor")
    assert "error[EC2321] there is no recipe 'int8-pertensor' at '--recipe'" in str(caught.value)
    assert "did you mean 'int8-per-tensor'?" in str(caught.value)
