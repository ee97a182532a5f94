"""Pools and normalizations."""

from __future__ import annotations

from typing import Any

from edgecompile.backends.coreml.contractions import paired
from edgecompile.backends.coreml.registry import writes
from edgecompile.backends.coreml.view import NodeView


@writes("MaxPool")
def max_pool(view: NodeView) -> None:
    view.finish(view.emit("max_pool", x=view.variable(0), **_window(view)))


@writes("AveragePool")
def average_pool(view: NodeView) -> None:
    excluded = not view.option("count_include_pad", 0)
    window = _window(view)
    view.finish(view.emit("avg_pool", x=view.variable(0), exclude_padding_from_average=excluded, **window))


def _window(view: NodeView) -> dict[str, Any]:
    """Sizes, with so much padding at the ends as windows in the result need (ceil_mode)."""
    kernel = view.ints("kernel_shape", ())
    rank = len(kernel)
    strides, pads = view.ints("strides", (1,) * rank), view.ints("pads", (0,) * 2 * rank)
    for axis in range(rank):
        reach = (view.result[2 + axis] - 1) * strides[axis] + kernel[axis]
        pads[rank + axis] = max(pads[rank + axis], reach - view.shape(0)[2 + axis] - pads[axis])
    return {"kernel_sizes": kernel, "strides": strides, "pad_type": "custom", "pad": paired(pads)}


@writes("BatchNormalization")
def batch_normalization(view: NodeView) -> None:
    gamma, beta, mean, variance = (view.input(index) for index in (1, 2, 3, 4))
    epsilon = view.number(view.option("epsilon", 1e-5))
    view.finish(
        view.emit(
            "batch_norm",
            x=view.variable(0),
            mean=mean,
            variance=variance,
            gamma=gamma,
            beta=beta,
            epsilon=epsilon,
        )
    )


@writes("InstanceNormalization")
def instance_normalization(view: NodeView) -> None:
    gamma, beta, epsilon = view.input(1), view.input(2), view.number(view.option("epsilon", 1e-5))
    view.finish(view.emit("instance_norm", x=view.variable(0), gamma=gamma, beta=beta, epsilon=epsilon))


@writes("GroupNormalization")
def group_normalization(view: NodeView) -> None:
    """A group of channels is one channel of more elements; scale and bias are of single channels."""
    batch, channels = view.shape(0)[:2]
    groups, epsilon = view.option("num_groups"), view.number(view.option("epsilon", 1e-5))
    x = view.emit("reshape", x=view.variable(0), shape=[batch, groups, -1])
    x = view.emit("instance_norm", x=x, epsilon=epsilon)
    x = view.emit("reshape", x=x, shape=list(view.result))
    scale, bias = (view.input(index).reshape(channels, *[1] * (view.rank - 2)) for index in (1, 2))
    view.finish(view.emit("add", x=view.emit("mul", x=x, y=scale), y=bias))


@writes("LayerNormalization")
def layer_normalization(view: NodeView) -> None:
    axes = list(range(view.option("axis", -1) % view.rank, view.rank))
    shape = view.shape(0)[axes[0] :]
    beta = view.input(2).reshape(shape) if view.has(2) else None
    epsilon = view.number(view.option("epsilon", 1e-5))
    view.finish(
        view.emit(
            "layer_norm",
            x=view.variable(0),
            axes=axes,
            gamma=view.input(1).reshape(shape),
            beta=beta,
            epsilon=epsilon,
        )
    )


@writes("LRN")
def local_response_normalization(view: NodeView) -> None:
    alpha, beta, bias = (
        view.number(view.option(name, usual))
        for name, usual in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    size = view.option("size")
    view.finish(
        view.emit("local_response_norm", x=view.variable(0), size=size, alpha=alpha, beta=beta, k=bias)
    )
