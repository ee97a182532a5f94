"""The recipes that rewrite contractions and leave the activations between them in float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgecompile.core.model import Model
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.dynamic import quantize_dynamically
from edgecompile.passes.quantize.half import store_in_half
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.passes.quantize.samples import Samples
from edgecompile.passes.quantize.small_weights import store_as_palettes, store_in_bytes
from edgecompile.passes.quantize.weight_only import weight_only

# The network after `preparing_passes` (not to be changed), the samples if there are any, the recipe, nodes to
# leave alone, and who is told of progress.
Rewrite = Callable[[Model, Samples | None, Recipe, Sequence[str], Progress], Rewritten]

REWRITES: Mapping[str, Rewrite] = {
    "dynamic": quantize_dynamically,
    "half": store_in_half,
    "weight-only": weight_only,
    "bytes": store_in_bytes,
    "palettes": store_as_palettes,
}
