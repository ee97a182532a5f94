"""How a network can be quantized, as data. A recipe's name decodes: what is stored in how many bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from edgecompile.errors import Problem, UsageError, did_you_mean
from edgecompile.passes.quantize.parameters import Activations
from edgecompile.passes.quantize.ranges import RangeMethod

# static: weights and activations as integers, on scales that are chosen once. The others are rewrites of the
# network's contractions, see edgecompile/quantize.py.
Method = Literal["static", "half", "dynamic", "weight-only", "bytes", "palettes"]


@dataclass(frozen=True)
class Recipe:
    """One way to quantize.

    `method`: what is done at all. `needs_samples`: whether it cannot do without calibration samples. `group`:
    of the method "weight-only", how many inputs share a scale.

    The rest is for the method "static". `activations`: what tensors are stored as. `per_channel`: weights
    have a scale for each output channel, otherwise one. `ranges`: how the range of an activation is chosen.
    `equalize`: channels are scaled to have like ranges. `clip_weights`: the scales of weights are those of
    the least square error, otherwise of the greatest weight. `correct_bias`: biases make up for what rounding
    does to the mean of a channel.
    """

    name: str
    description: str
    method: Method = "static"
    needs_samples: bool = True
    group: int = 32
    activations: Activations = "int8"
    per_channel: bool = True
    ranges: RangeMethod = "mse"
    equalize: bool = False
    clip_weights: bool = True
    correct_bias: bool = True


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                "int8", "weights and activations in 8 bits, one scale a channel of weights", equalize=True
            ),
            Recipe(
                "int8-per-tensor",
                "as int8 with one scale for all weights of a layer, for hardware that needs it",
                per_channel=False,
                equalize=True,
            ),
            Recipe(
                "int16x8",
                "activations in 16 bits, weights in 8: for networks that int8 activations are too coarse for",
                activations="int16",
                ranges="min-max",
                equalize=True,
            ),
            Recipe(
                "dynamic-int8",
                "weights of products in 8 bits, activations quantized anew in every run; needs no samples",
                method="dynamic",
                needs_samples=False,
            ),
            Recipe(
                "fp16",
                "weights in 16-bit floats, everything computed in float32; needs no samples",
                method="half",
                needs_samples=False,
            ),
            Recipe(
                "int4w",
                "weights of products in 4 bits, one scale for 32 inputs of an output; all else in float",
                method="weight-only",
            ),
            Recipe(
                "int8w",
                "weights in 8 bits, one scale for each output, for Core ML; needs no samples",
                method="bytes",
                needs_samples=False,
            ),
            Recipe(
                "palette4",
                "16 different weights a layer, 4 bits each in Core ML; needs no samples",
                method="palettes",
                needs_samples=False,
            ),
        )
    }
)


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises UsageError (EC2321)."""
    if name not in RECIPES:
        hint = did_you_mean(name, list(RECIPES))
        raise UsageError(Problem("EC2321", f"there is no recipe '{name}'", "--recipe", "", hint))
    return RECIPES[name]
