"""From an imported graph to the one form that all other passes and the lowering expect."""

from __future__ import annotations

from collections.abc import Collection

from edgecompile.core.pipeline import Pass
from edgecompile.passes.check_static import CheckStatic
from edgecompile.passes.eliminate_dead_code import EliminateDeadCode
from edgecompile.passes.eliminate_identity import EliminateIdentity
from edgecompile.passes.expand_functions import ExpandFunctions
from edgecompile.passes.fix_names import FixNames
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.inline_functions import InlineFunctions
from edgecompile.passes.merge_duplicates import MergeDuplicates
from edgecompile.passes.unroll_loops import UnrollLoops
from edgecompile.passes.upgrade_opset import UpgradeOpset


def canonicalize_passes(keep: Collection[tuple[str, str]] | None = None) -> tuple[Pass, ...]:
    """The passes, in order; `keep` are the (domain, operator) pairs that are lowered as they are.

    Operators outside `keep` that ONNX defines by simpler ones are expanded; without `keep`, none is.

    Afterwards the graph has one opset, no functions and no dead or duplicate nodes; every node a unique name;
    every tensor a static shape and a numeric type; every output a node that computes it.
    """
    expansion: tuple[Pass, ...] = ()
    if keep is not None:
        expansion = (ExpandFunctions(keep), UnrollLoops(), FoldConstants())
    return (
        # types first, in the file's own opset: the upgrade asks for ranks and element types
        FoldConstants(),
        UpgradeOpset(),
        InlineFunctions(),
        # shapes become numbers, what is known becomes a constant
        FoldConstants(),
        # with operators to lower: what is made of simpler ones, and loops of a known length, are written out
        *expansion,
        # what does nothing, is there twice or is not needed goes
        EliminateIdentity(),
        MergeDuplicates(),
        EliminateDeadCode(),
        # the promise to all that follows
        FixNames(),
        CheckStatic(),
    )
