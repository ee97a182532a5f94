"""The criteria by the names that `--method` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgecompile.errors import Problem, UsageError, did_you_mean
from edgecompile.passes.prune.importance.activation import Activation
from edgecompile.passes.prune.importance.batch_norm_gamma import BatchNormGamma
from edgecompile.passes.prune.importance.criterion import Gradients, Importance
from edgecompile.passes.prune.importance.fisher import Fisher
from edgecompile.passes.prune.importance.hessian import HessianDiagonal
from edgecompile.passes.prune.importance.lasso import Lasso
from edgecompile.passes.prune.importance.magnitude import Magnitude
from edgecompile.passes.prune.importance.movement import Movement
from edgecompile.passes.prune.importance.random import Random
from edgecompile.passes.prune.importance.reconstruction import Reconstruction
from edgecompile.passes.prune.importance.taylor import Taylor
from edgecompile.passes.prune.importance.thinet import ThiNet
from edgecompile.passes.prune.importance.wanda import Wanda


@dataclass(frozen=True)
class Method:
    """A criterion: what it goes by, and what it needs besides the network.

    `make` gets the gradients, None for those that need none. `scores_are_errors`: a score is the error of
    what is behind, with all units of the group gone that have lower ones. `folds_batch_norm` is False for
    the one that reads what folding removes.
    """

    name: str
    description: str
    make: Callable[[Gradients | None], Importance]
    needs_samples: bool = False
    needs_gradients: bool = False
    scores_are_errors: bool = False
    folds_batch_norm: bool = True


def find_method(name: str) -> Method:
    """The method called `name`. Raises UsageError (EC2520)."""
    if name not in METHODS:
        hint = did_you_mean(name, list(METHODS))
        raise UsageError(Problem("EC2520", f"there is no method '{name}'", "--method", "", hint))
    return METHODS[name]


def _by_gradients(make: Callable[[Gradients], Importance]) -> Callable[[Gradients | None], Importance]:
    def checked(gradients: Gradients | None) -> Importance:
        assert gradients is not None
        return make(gradients)

    return checked


def _plain(name: str, description: str, criterion: Importance) -> Method:
    return Method(name, description, lambda gradients: criterion)


def _observing(name: str, description: str, criterion: Importance, errors: bool = False) -> Method:
    return Method(
        name, description, lambda gradients: criterion, needs_samples=True, scores_are_errors=errors
    )


def _differentiating(name: str, description: str, make: Callable[[Gradients], Importance]) -> Method:
    return Method(name, description, _by_gradients(make), needs_samples=True, needs_gradients=True)


_ALL = (
    _plain("l1", "sum of magnitudes of a unit's weights", Magnitude(1)),
    _plain("l2", "norm of a unit's weights", Magnitude(2)),
    Method("gamma", "factors of batch normalization", lambda none: BatchNormGamma(), folds_batch_norm=False),
    _observing("activation-magnitude", "mean magnitude of activations", Activation("magnitude")),
    _observing("activation-variance", "variance of activations", Activation("variance")),
    _observing("wanda", "weights times the norm of what they multiply", Wanda()),
    _observing("thinet", "error of the next layer", ThiNet(), errors=True),
    _observing("lasso", "sparse regression of the next layer", Lasso()),
    _observing(
        "reconstruction", "error of the next layer if its weights make up", Reconstruction(), errors=True
    ),
    _differentiating("taylor", "change of the outputs to first order", Taylor),
    _differentiating("fisher", "Fisher information of a unit", Fisher),
    _differentiating("hessian", "diagonal of second derivatives", HessianDiagonal),
    _differentiating("movement", "where training takes the weights", Movement),
    _plain("random", "chance, to compare with", Random()),
)
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
