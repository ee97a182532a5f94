"""Make all names unique and non-empty, so that layers can be told apart in reports and on the device.

before                              after
    node ""      a = Exp(x)             node "Exp_0"    a = Exp(x)
    node "act"   b = Neg(a)             node "act"      b = Neg(a)
    node "act"   y = Exp(b)             node "act_1"    y = Exp(b)
"""

from __future__ import annotations

from edgecompile.core.model import Model
from edgecompile.core.names import fix_names
from edgecompile.core.pipeline import PassResult


class FixNames:
    """Names of the network's inputs and outputs win; a later duplicate gets "_1", "_2" …"""

    name = "fix_names"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return PassResult(model, fix_names(model.graph))
