"""From a trained module with rounding to one whose ONNX export is a quantized graph (QDQ)."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # defines the operators quantized_decomposed
from torch import Tensor, fx

from edgecompile.errors import InputError, Problem
from edgecompile.passes.quantize.parameters import QuantizedWeights, bias_safe, round_weights, weight_scales
from edgecompile.torch.fake_quantize import GREATEST, LEAST, PerChannelWeights, PerTensorRange
from edgecompile.torch.modes import BatchNorm
from edgecompile.torch.operators import CONTRACTIONS, kind, origins, place, rank, sole_user
from edgecompile.torch.prepare import require_prepared
from edgecompile.torch.quantizer import is_foldable

_INT32 = torch.iinfo(torch.int32)
_Q = torch.ops.quantized_decomposed

Array = np.ndarray[Any, Any]


def finish(prepared: fx.GraphModule) -> fx.GraphModule:
    """The network that was trained, in evaluation mode, with integers for weights and biases.

    Where the prepared module rounds, it has a quantize and a dequantize operator; BatchNorm is part of the
    layer before it. `prepared` itself is not changed and can be trained further. The result goes where any
    module goes: return it from the function that `edgecompile compile module:function` calls, or export it
    with torch.onnx.export(result, inputs, dynamo=True) or torch.export.export.

    Raises UsageError (EC2342) for what `prepare_qat` did not make, InputError when a range has never seen
    data (EC3341) or training has left numbers that are not finite (EC3342); all places at once.
    """
    require_prepared(prepared)
    _require_trained(prepared)
    model = _copy(prepared).eval()
    with torch.no_grad():
        for node in list(model.graph.nodes):
            if kind(node) in CONTRACTIONS and isinstance(_module(node.args[1]), PerChannelWeights):
                weights, bias = _folded(model, node)
                _set_constants(model, node, weights, bias, node.args[3:])
        for node in list(model.graph.nodes):
            if kind(node) == "batch_norm" and _range_of(node.args[0]) is not None:
                _become_depthwise(model, node)
    for node in list(model.graph.nodes):
        module = _module(node)
        if isinstance(module, PerTensorRange):
            _quantize(model.graph, node, module)
    model.graph.eliminate_dead_code()
    # A new module holds only what its graph refers to.
    return fx.GraphModule(model, model.graph).eval()


def _copy(model: fx.GraphModule) -> fx.GraphModule:
    with warnings.catch_warnings():
        # torch warns of its own use of its own classes.
        warnings.simplefilter("ignore", FutureWarning)
        return copy.deepcopy(model)


def _require_trained(prepared: fx.GraphModule) -> None:
    problems: list[Problem] = []
    for node in prepared.graph.nodes:
        module = _module(node)
        if isinstance(module, PerTensorRange) and not module.observed:
            fix = "run batches through it in training mode"
            why = "no data has passed in training mode"
            problems.append(Problem("EC3341", "a range is not known", place(node.args[0]), why, fix))
        elif isinstance(module, PerTensorRange) and not torch.isfinite(module.scale):
            problems.append(_not_finite("the range of an activation", place(node.args[0])))
    for name, parameter in prepared.state_dict().items():
        is_own = "activation_post_process" in name
        if not is_own and parameter.is_floating_point() and not torch.isfinite(parameter).all():
            problems.append(_not_finite("a parameter", name))
    if problems:
        raise InputError(*problems)


def _not_finite(what: str, where: str) -> Problem:
    fix = "train again, with a lower learning rate or from other weights"
    return Problem("EC3342", f"{what} is not finite", where, "training has diverged", fix)


@dataclass(frozen=True)
class _Affine:
    """BatchNorm in evaluation mode: gain · x + offset, float64 [C] each."""

    gain: Array
    offset: Array


def _set_constants(
    model: fx.GraphModule, node: fx.Node, weights: Array, bias: Array | None, window: tuple[Any, ...]
) -> None:
    """Give a Conv or Linear its integers; `window` is what comes after the bias."""
    source = _range_of(node.args[0])
    assert source is not None
    input_scale = source.scale.item()
    scales = weight_scales(weights, 0, clip=False)
    if bias is not None:
        scales = bias_safe(scales, bias, input_scale)
    rounded = round_weights(weights, scales, 0)
    constants: list[fx.Node | None] = [_stored(model, node, "weight", rounded)]
    if bias is None:
        constants.append(None)
    else:
        products = (scales.astype(np.float64) * input_scale).astype(np.float32)
        integers = np.rint(bias / products).astype(np.int32)
        constants.append(_stored(model, node, "bias", QuantizedWeights(integers, products, 0)))
    node.args = (node.args[0], *constants, *window)
    if kind(node) == "linear" and rank(node) > 2:
        node.target = _linear_on_rows


def _linear_on_rows(x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
    """linear on [..., K] as one product of matrices, which ONNX has with a bias in it."""
    rows = torch.nn.functional.linear(x.flatten(0, -2), weights, bias)
    return rows.unflatten(0, x.shape[:-1])


def _become_depthwise(model: fx.GraphModule, node: fx.Node) -> None:
    """A BatchNorm that follows no Conv: every channel times one number, which is exactly ±127 steps."""
    affine = _affine(model, node)
    channels, dimensions = len(affine.gain), rank(node)
    weights = affine.gain.reshape(channels, *[1] * max(dimensions - 1, 2))
    function = {2: _conv_on_vectors, 3: torch.ops.aten.conv1d.default, 4: torch.ops.aten.conv2d.default}
    with model.graph.inserting_before(node):
        new = model.graph.call_function(function[dimensions], (node.args[0],))
    new.meta = dict(node.meta)
    ones = [1] * (weights.ndim - 2)
    _set_constants(model, new, weights, affine.offset, (ones, [0] * len(ones), ones, channels))
    node.replace_all_uses_with(new)
    model.graph.erase_node(node)


def _conv_on_vectors(x: Tensor, weights: Tensor, bias: Tensor, *window: Any) -> Tensor:
    """conv1d on [N, C]."""
    return torch.nn.functional.conv1d(x.unsqueeze(2), weights, bias, *window).squeeze(2)


def _folded(model: fx.GraphModule, node: fx.Node) -> tuple[Array, Array | None]:
    """Weights and bias after rounding to the grid, with BatchNorm, whose node disappears; float64.

    The rounded weights of a channel are multiplied by one number, and so are the steps between them: the
    integers stay what they were in training, but for the sign of a negative gain.
    """
    weights = _array(_constant(model, node.args[1]))
    given = node.args[2] if len(node.args) > 2 else None
    bias = None if given is None else _array(_constant(model, given))
    reader = sole_user(node)
    if reader is None or not is_foldable(node, reader):
        return weights, bias
    affine = _affine(model, reader)
    reader.replace_all_uses_with(node)
    model.graph.erase_node(reader)
    by_channel = affine.gain.reshape(-1, *[1] * (weights.ndim - 1))
    return weights * by_channel, affine.offset + (0.0 if bias is None else bias * affine.gain)


def _affine(model: fx.GraphModule, node: fx.Node) -> _Affine:
    module = _module(node)
    assert isinstance(module, BatchNorm)
    gamma, beta, mean, variance = (
        None if arg is None else _array(_constant(model, arg)) for arg in node.args[1:]
    )
    assert mean is not None
    assert variance is not None
    gain = (1.0 if gamma is None else gamma) / np.sqrt(variance + module.eps)
    return _Affine(gain, (0.0 if beta is None else beta) - mean * gain)


def _module(node: Any) -> torch.nn.Module | None:
    """The module that the node calls."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    owner = node.graph.owning_module
    assert owner is not None
    return owner.get_submodule(str(node.target))


def _range_of(node: Any) -> PerTensorRange | None:
    """How the tensor is rounded that the node gives, or moves."""
    module = _module(next(origins(node)))
    return module if isinstance(module, PerTensorRange) else None


def _constant(model: fx.GraphModule, node: Any) -> Tensor:
    """What a node gives that depends on parameters only, such as weights computed from others."""
    if node.op == "get_attr":
        owner, _, name = str(node.target).rpartition(".")
        found: Tensor = getattr(model.get_submodule(owner), name)
        return found
    compute = _module(node) or node.target
    args = fx.map_arg(node.args, lambda source: _constant(model, source))
    result: Tensor = compute(*args, **fx.map_arg(node.kwargs, lambda source: _constant(model, source)))
    return result


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().cpu().double().numpy())


def _stored(model: fx.GraphModule, node: fx.Node, name: str, constant: QuantizedWeights) -> fx.Node:
    """The real numbers of constant integers, one scale a slice of axis 0."""
    device = next(model.buffers()).device
    names = []
    for label, array in (("integers", constant.integers), ("scale", constant.scales)):
        names.append(f"{node.name}_{name}_{label}")
        model.register_buffer(names[-1], torch.from_numpy(np.array(array)).to(device))
    with model.graph.inserting_before(node):
        integers, scales = (model.graph.get_attr(name) for name in names)
        dtype = getattr(torch, constant.integers.dtype.name)
        limits = (-GREATEST, GREATEST) if dtype == torch.int8 else (_INT32.min, _INT32.max)
        return model.graph.call_function(
            _Q.dequantize_per_channel.default, (integers, scales, None, 0, *limits, dtype)
        )


def _quantize(graph: fx.Graph, node: fx.Node, module: PerTensorRange) -> None:
    """A quantize and a dequantize operator for a module that rounds."""
    parameters = (module.scale.item(), int(module.zero_point.item()), LEAST, GREATEST, torch.int8)
    with graph.inserting_before(node):
        stored = graph.call_function(_Q.quantize_per_tensor.default, (node.args[0], *parameters))
        real = graph.call_function(_Q.dequantize_per_tensor.default, (stored, *parameters))
    node.replace_all_uses_with(real)
    graph.erase_node(node)
