"""Plans that nobody would choose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from edgecompile.core.target import Isa
from edgecompile.kernels.schedules.space import Plan, PlanChoice, Space
from edgecompile.lower.fusion import Group


@dataclass
class AnyPlans:
    """Chooses by chance; `chosen` are the choices that there was an alternative to."""

    chance: random.Random
    chosen: list[Plan] = field(default_factory=list)

    def __call__(self, group: Group, isa: Isa) -> PlanChoice:
        return self

    def choose(self, space: Space) -> Plan:
        plans = space.plans()
        plan = self.chance.choice(plans)
        if len(plans) > 1:
            self.chosen.append(plan)
        return plan
