"""The list of passes that make a quantized network compute in integers, to be run last."""

from __future__ import annotations

from edgecompile.core.integer import Rounding
from edgecompile.core.pipeline import Pass
from edgecompile.passes.convert_to_integer import ConvertToInteger
from edgecompile.passes.expose_integers import ExposeIntegers
from edgecompile.passes.move_quantization import MoveQuantization
from edgecompile.passes.quantize_dynamically_to_int8 import QuantizeDynamicallyToInt8
from edgecompile.passes.unify_integer_types import IntegerType, UnifyIntegerTypes


def integer_passes(rounding: Rounding, activations: IntegerType, expose: bool = False) -> tuple[Pass, ...]:
    """The passes in order; they do nothing to a network that is not quantized.

    `activations` is the type that the target computes with. `expose` makes the network's own inputs and
    outputs int8, on every target.
    """
    return (
        MoveQuantization(),
        UnifyIntegerTypes(activations, "int8" if expose else activations),
        ConvertToInteger(rounding),
        *((QuantizeDynamicallyToInt8(),) if activations == "int8" else ()),
        *((ExposeIntegers(),) if expose else ()),
    )
