"""From a module in float to one that trains with the rounding of its integers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

from edgecompile.errors import Problem, UnsupportedError, UsageError, did_you_mean
from edgecompile.frontend.torch import arguments, export_problem
from edgecompile.torch.fake_quantize import PerTensorRange
from edgecompile.torch.modes import BatchNorm, make_switchable
from edgecompile.torch.quantizer import Int8Quantizer
from edgecompile.torch.splits import slice_splits

RECIPES = ("int8",)
_MARK = "edgecompile.prepared"


def prepare_qat(module: nn.Module, example_inputs: Any, recipe: str = "int8") -> fx.GraphModule:
    """A copy of `module` that rounds weights and activations as the compiled network will.

    Train the result in your own loop, as you would train the module: `train()` and `eval()` work, parameters
    keep their names, any batch size goes. The ranges of activations follow the data in training mode only.
    A BatchNorm stays one while training, and becomes part of the layer before it in `finish`: with a scale
    for each output channel that changes these scales and none of the integers.

    `example_inputs` is a tensor, a tuple or a dict, as for `edgecompile compile`. The only recipe is "int8":
    activations int8 with a scale and zero point each, weights int8 in [-127, 127] with a scale for each
    output channel, biases int32.

    Raises UsageError (EC2341) for another recipe, UnsupportedError for a module that torch cannot export
    (EC4131) or that has nothing to compute in integers (EC4341).
    """
    if recipe not in RECIPES:
        what = f"training has no recipe '{recipe}'"
        raise UsageError(Problem("EC2341", what, "recipe", "", did_you_mean(recipe, RECIPES)))
    exported = _exported(module, example_inputs)
    make_switchable(exported)
    slice_splits(exported)
    prepared = prepare_qat_pt2e(exported, Int8Quantizer())
    if not any(isinstance(child, PerTensorRange) for child in prepared.modules()):
        why, fix = (
            "no operator in it has a form in integers",
            "quantize networks of Conv, Linear and the like",
        )
        raise UnsupportedError(Problem("EC4341", "there is nothing to quantize", _name(module), why, fix))
    # As a new graph module, without torchao's ban on train() and eval().
    result = fx.GraphModule(prepared, prepared.graph)
    result.meta[_MARK] = True
    device = next((parameter.device for parameter in result.parameters()), None)
    return result.to(device).train() if device is not None else result.train()


def freeze(prepared: fx.GraphModule, *, batch_norm: bool = True, ranges: bool = True) -> None:
    """Stop updating the statistics of BatchNorm, the ranges of activations, or both.

    Call it for the last part of training, so that the weights settle on what they will be executed with; a
    usual choice is `batch_norm` after half of the epochs and `ranges` one or two epochs later. Weights are
    always rounded by their own greatest values. With both False, both are updated again.

    To see what quantization costs without training, freeze `batch_norm` only, run some batches in training
    mode under torch.no_grad(), and call `finish`.

    Raises UsageError (EC2342) for what `prepare_qat` did not make.
    """
    require_prepared(prepared)
    for child in prepared.modules():
        if isinstance(child, BatchNorm):
            child.frozen = batch_norm
        elif isinstance(child, PerTensorRange) and not child.fixed:
            child.enable_observer(not ranges)


def require_prepared(module: nn.Module) -> None:
    """Raise UsageError (EC2342) unless `module` comes from `prepare_qat`."""
    if not getattr(module, "meta", {}).get(_MARK):
        what, fix = (
            f"{_name(module)} is not prepared for training",
            "call edgecompile.torch.prepare_qat first",
        )
        raise UsageError(Problem("EC2342", what, "", "it has no ranges of activations", fix))


def _name(module: object) -> str:
    return type(module).__name__


def _exported(module: nn.Module, example_inputs: Any) -> fx.GraphModule:
    """The graph of a copy in training mode, for batches of any size if that can be."""
    copied = copy.deepcopy(module).train()
    try:
        return _export_any_batch(copied, example_inputs) or _export(copied, example_inputs)
    except Exception as error:
        raise UnsupportedError(export_problem(error, _name(module))) from None


def _export(module: nn.Module, inputs: Any, shapes: Any = None) -> fx.GraphModule:
    args, kwargs = arguments(inputs)
    program = torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
    result: fx.GraphModule = program.module(check_guards=False)
    return result


def _export_any_batch(module: nn.Module, inputs: Any) -> fx.GraphModule | None:
    """With the first dimension of every tensor free; None when the module does not allow that."""
    args, kwargs = arguments(inputs)
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.dim()]
    # torch takes a dimension of size 1 for one that is always 1.
    if all(len(tensor) == 1 for tensor in tensors):
        twice = {id(tensor): tensor.repeat_interleave(2, 0) for tensor in tensors}
        args = tuple(twice.get(id(value), value) for value in args)
        kwargs = {name: twice.get(id(value), value) for name, value in kwargs.items()}
        tensors = list(twice.values())
    shapes = torch.export.ShapesCollection()
    for tensor in tensors:
        shapes[tensor] = {0: torch.export.Dim.AUTO}
    try:
        result = _export(module, kwargs or args, shapes)
    except Exception:
        return None
    values = [node.meta["val"] for node in result.graph.find_nodes(op="placeholder")]
    free = [
        isinstance(value.shape[0], torch.SymInt)
        for value in values
        if isinstance(value, Tensor) and value.dim()
    ]
    return result if all(free) else None
