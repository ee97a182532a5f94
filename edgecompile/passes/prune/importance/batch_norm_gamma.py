"""The factor that a BatchNormalization gives a channel.

Z. Liu et al., "Learning efficient convolutional networks through network slimming" (2017). It means most for
networks that were trained with a penalty on these factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UsageError
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Scores, by_unit, constants, open_groups
from edgecompile.passes.quantize.observe import Sample


class BatchNormGamma:
    """The sum of |gamma| over the normalizations that a unit passes; comparable between groups.

    Units that pass none are the most important ones. Raises UsageError (EC2522) for a network without any.
    """

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None = None) -> Scores:
        gammas = {
            str(node.inputs[1].name)
            for node in model.graph.graph
            if node.op_type == "BatchNormalization" and not node.domain and node.inputs[1] is not None
        }
        if not gammas:
            why = "it has no BatchNormalization, or they were folded into weights before"
            what, fix = "the network has no factors to go by", "use --method l1"
            raise UsageError(Problem("EC2522", what, "--method", why, fix))
        scores = {}
        for group in open_groups(groups):
            total = np.zeros(group.size)
            found = [member for member in group.members if member.initializer in gammas]
            for member in found:
                total += by_unit(np.abs(constants(model, gammas)[member.initializer].astype(float)), member)
            scores[group.name] = total if found else np.full(group.size, np.inf)
        return scores
