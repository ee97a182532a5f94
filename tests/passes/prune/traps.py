"""Networks that are awkward to cut, each for a reason of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from onnx import TensorProto

from edgecompile.core.model import Model
from tests.passes.prune.nets import Net

IMAGE = {"x": [1, 3, 12, 12]}
TOKENS = {"x": [1, 6, 10]}


class Trap(Protocol):
    def __call__(self, prepared: bool = False) -> Model: ...


TRAPS: dict[str, Trap] = {}


def trap(build: Callable[[Net, bool], Model]) -> Trap:
    def make(prepared: bool = False) -> Model:
        return build(Net(build.__name__), prepared)

    TRAPS[build.__name__] = make
    return make


def image_trap(body: Callable[[Net, str], str]) -> Trap:
    """`body` gets a padded convolution of 8 channels and returns the output."""

    def build(net: Net, prepared: bool) -> Model:
        return net.model(IMAGE, body(net, net.padded("x", 3, 8)), prepared=prepared)

    build.__name__ = body.__name__
    return trap(build)


def token_trap(body: Callable[[Net, str], str]) -> Trap:
    """`body` gets an embedding [1, 6, 16] and returns the output."""

    def build(net: Net, prepared: bool) -> Model:
        return net.model(TOKENS, body(net, net.linear("x", 10, 16)), prepared=prepared)

    build.__name__ = body.__name__
    return trap(build)


@image_trap
def residual(net: Net, x: str) -> str:
    y = net.padded(net.op("Relu", net.padded(x, 8, 12)), 12, 8)
    return net.classify(net.op("Relu", net.op("Add", x, y)), 8)


@image_trap
def padded_shortcut(net: Net, x: str) -> str:
    """The shortcut of a CIFAR ResNet: every other pixel, channels padded with zeros on both sides."""
    x = net.op("Relu", x)
    short = net.op("Slice", x, *(net.const(np.array(v)) for v in ([0, 0], [99, 99], [2, 3], [2, 2])))
    short = net.op("Pad", short, net.const(np.array([0, 4, 0, 0, 0, 4, 0, 0])))
    y = net.padded(net.op("Relu", net.padded(x, 8, 16, strides=[2, 2])), 16, 16)
    return net.classify(net.op("Relu", net.op("Add", short, y)), 16)


@image_trap
def zeros_concatenated_to_the_shortcut(net: Net, x: str) -> str:
    short = net.op("Concat", x, net.const(np.zeros((1, 4, 12, 12), np.float32)), axis=1)
    return net.classify(net.op("Add", short, net.padded(x, 8, 12)), 12)


@image_trap
def concat_chunk_grouped_flatten(net: Net, x: str) -> str:
    both = net.op("Concat", net.op("Relu", net.conv(x, 8, 8)), net.op("Tanh", net.padded(x, 8, 8)), axis=1)
    y = net.op("Relu", net.padded(both, 4, 16, group=4))
    first, second = net.op("Split", y, outputs=2, axis=1, num_outputs=2)
    y = net.op(
        "Flatten", net.op("MaxPool", net.op("Mul", first, second), kernel_shape=[4, 4], strides=[4, 4])
    )
    hidden = net.op("Relu", net.op("Gemm", y, net.weights(72, 20), net.weights(20)))
    return str(net.op("Gemm", hidden, net.weights(6, 20), net.weights(6), transB=1))


@image_trap
def shuffle_and_squeeze_excite(net: Net, x: str) -> str:
    y = net.op("Relu", net.conv(x, 4, 12, group=2))
    y = net.op("Transpose", net.reshape(y, 1, 2, 6, 12, 12), perm=[0, 2, 1, 3, 4])
    y = net.padded(net.reshape(y, 1, 12, 12, 12), 6, 12, group=2)
    gate = net.op("Relu", net.conv(net.op("GlobalAveragePool", y), 12, 4))
    gate = net.op("HardSigmoid", net.conv(gate, 4, 12))
    return net.classify(net.op("Mul", y, gate), 12)


@image_trap
def shuffle_by_gather(net: Net, x: str) -> str:
    """As ShuffleNet-V2 is exported: halves are the even and the odd channels."""
    y = net.op("Transpose", net.reshape(x, 4, 2, 144), perm=[1, 0, 2])
    y = net.reshape(y, 2, 1, 4, 12, 12)
    even = net.op("Gather", y, net.const(np.array(0)), axis=0)
    odd = net.op("Gather", y, net.const(np.array(1)), axis=0)
    odd = net.op("Relu", net.padded(net.op("Relu", net.conv(odd, 4, 4)), 1, 4, group=4))
    return net.classify(net.op("Concat", even, odd, axis=1), 8)


@image_trap
def many_narrow_groups(net: Net, x: str) -> str:
    """ResNeXt: whole groups go."""
    return net.classify(net.op("Relu", net.padded(net.op("Relu", net.conv(x, 8, 16)), 2, 24, group=8)), 24)


@image_trap
def depthwise_with_multiplier(net: Net, x: str) -> str:
    y = net.op("Clip", net.padded(x, 1, 16, group=8), net.const(0.0), net.const(6.0))
    return net.classify(net.op("Add", y, net.conv(y, 16, 16)), 16)


@image_trap
def two_depthwise_in_a_row(net: Net, x: str) -> str:
    y = net.op("Relu", net.padded(net.op("Relu", net.padded(x, 1, 8, group=8)), 1, 8, group=8))
    return net.classify(net.conv(y, 8, 6), 6)


@image_trap
def sigmoid_before_a_convolution(net: Net, x: str) -> str:
    y = net.op("HardSwish", net.conv(net.op("Sigmoid", x), 8, 10))
    return net.classify(net.conv(net.op("Softplus", y), 10, 6), 6)


@image_trap
def sigmoid_before_a_padded_convolution(net: Net, x: str) -> str:
    """Inside, 0.5 is left of a unit; at the border, padding is."""
    return net.classify(net.padded(net.op("Sigmoid", x), 8, 6), 6)


@image_trap
def sigmoid_before_a_flattened_gemm(net: Net, x: str) -> str:
    y = net.op("Flatten", net.op("Exp", net.op("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4])))
    return str(net.op("Gemm", y, net.weights(72, 5), net.weights(1, 5), alpha=0.5, beta=2.0))


@image_trap
def batch_norm_before_a_padded_convolution(net: Net, x: str) -> str:
    y = net.op("Relu", _batch_norm(net, net.conv(x, 8, 12, bias=False), 12))
    return net.classify(net.op("Relu", _batch_norm(net, net.padded(y, 12, 8, bias=False), 8)), 8)


@image_trap
def batch_norm_first(net: Net, x: str) -> str:
    y = net.conv(net.op("Relu", _batch_norm(net, x, 8)), 8, 8)
    return net.classify(net.op("Add", x, net.padded(net.op("Relu", _batch_norm(net, y, 8)), 8, 8)), 8)


def _batch_norm(net: Net, x: str, channels: int) -> str:
    variance = net.const(net.random.random(channels) + 0.5)
    result: str = net.op("BatchNormalization", x, *(net.weights(channels) for _ in range(3)), variance)
    return result


@image_trap
def batch_norm_with_computed_parameters(net: Net, x: str) -> str:
    scale = net.op("Exp", net.op("Flatten", net.op("GlobalMaxPool", net.conv(x, 8, 6)), axis=0))
    scale = net.op("Squeeze", net.op("Tanh", scale), net.const(np.array([0])))
    variance = net.const(net.random.random(6) + 0.5)
    y = net.op("BatchNormalization", net.conv(x, 8, 6), scale, net.weights(6), net.weights(6), variance)
    return net.classify(net.op("Relu", y), 6)


@image_trap
def one_weight_used_twice(net: Net, x: str) -> str:
    weight, bias = net.weights(8, 8, 3, 3), net.weights(8)
    y = x
    for _ in range(2):
        y = net.op("Relu", net.op("Conv", y, weight, bias, pads=[1, 1, 1, 1]))
    return net.classify(y, 8)


@image_trap
def one_weight_read_at_two_scales(net: Net, x: str) -> str:
    """The heads of a detector."""
    weight, bias = net.weights(6, 8, 3, 3), net.weights(6)
    small = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    heads = [net.op("Relu", net.op("Conv", y, weight, bias)) for y in (x, small)]
    flat = [net.op("Flatten", net.op("GlobalMaxPool", y)) for y in heads]
    return str(net.op("Gemm", net.op("Concat", *flat, axis=1), net.weights(12, 3)))


@image_trap
def constants_by_channel(net: Net, x: str) -> str:
    x = net.op("PRelu", net.op("Mul", x, net.weights(8, 1, 1)), net.weights(8, 1, 1))
    y = net.op("Div", net.op("Add", x, net.weights(1, 8, 12, 12)), net.const(np.full((1, 8, 1, 1), 3.0)))
    y = net.op("Sub", net.weights(1, 8, 1, 1), net.op("Mul", y, net.weights(12, 12)))
    return net.classify(net.conv(net.op("Max", y, net.weights(8, 1, 1)), 8, 6), 6)


@image_trap
def plane_added_to_all_channels(net: Net, x: str) -> str:
    """What is left of a unit is that plane, of which no bias can be made."""
    return net.classify(net.conv(net.op("Add", x, net.weights(12, 12)), 8, 6), 6)


@image_trap
def resized_and_padded(net: Net, x: str) -> str:
    y = net.op("Resize", x, "", net.const([1.0, 1.0, 2.0, 2.0]), mode="linear")
    y = net.op("Resize", y, "", "", net.const(np.array([1, 8, 12, 12])), mode="nearest")
    y = net.op("Pad", y, net.const(np.array([0, 0, 1, 1, 0, 0, 1, 1])), mode="reflect")
    return net.classify(net.conv(y, 8, 6), 6)


@image_trap
def depth_to_space(net: Net, x: str) -> str:
    y = net.op("DepthToSpace", net.conv(x, 8, 24), blocksize=2)
    y = net.op("DepthToSpace", net.conv(y, 6, 24), blocksize=2, mode="CRD")
    y = net.op("SpaceToDepth", net.conv(y, 6, 5), blocksize=4)
    return net.classify(y, 80)


@image_trap
def transposed_convolutions(net: Net, x: str) -> str:
    y = net.op("Relu", net.op("ConvTranspose", x, net.weights(8, 12, 2, 2), net.weights(12), strides=[2, 2]))
    y = net.op("Relu", net.op("ConvTranspose", y, net.weights(12, 1, 3, 3), strides=[2, 2], group=12))
    y = net.op("ConvTranspose", y, net.weights(12, 4, 3, 3), net.weights(8), pads=[1, 1, 1, 1], group=2)
    return net.classify(y, 8)


@image_trap
def sigmoid_before_a_transposed_convolution(net: Net, x: str) -> str:
    weights = net.weights(8, 3, 3, 3)
    return net.classify(net.op("ConvTranspose", net.op("Sigmoid", x), weights, group=2, strides=[2, 2]), 6)


@image_trap
def channels_gathered_and_sliced(net: Net, x: str) -> str:
    x = net.op("Relu", net.conv(x, 8, 24))
    y = net.op("Gather", x, net.const(np.array([7, -20, 0, 5, 3, 1, -1, 23, 11])), axis=1)
    starts = (([1], [24], [1], [2]), ([-1], [-100], [1], [-3]), ([2], [15], [1], [1]))
    parts = [net.op("Slice", x, *(net.const(np.array(v)) for v in given)) for given in starts]
    parts = [net.conv(part, count, 4) for part, count in zip(parts, (12, 8, 13), strict=True)]
    return net.classify(net.op("Sum", net.conv(y, 9, 4), *parts), 4)


@image_trap
def channels_reordered_and_sliced_evenly(net: Net, x: str) -> str:
    x = net.op("Gather", x, net.const(np.array([7, -6, 0, 5, 3, 1, 4, 6])), axis=1)
    ranges = (([0, 1], [8, 99], [1, 2], [2, 1]), ([-1], [-100], [1], [-2]))
    even, odd = (net.op("Slice", x, *(net.const(np.array(v)) for v in given)) for given in ranges)
    even, odd = (
        net.conv(net.op("Pad", even, net.const(np.array([0, 0, 1, 0, 0, 0, 0, 0]))), 4, 4),
        net.conv(odd, 4, 4),
    )
    return net.classify(net.op("Add", even, odd), 4)


@image_trap
def dense_connections(net: Net, x: str) -> str:
    for count in (8, 12, 16):
        x = net.op("Concat", x, net.padded(net.op("Relu", x), count, 4), axis=1)
    return net.classify(x, 20)


@image_trap
def gated_by_halves(net: Net, x: str) -> str:
    first, second = net.op("Split", net.conv(x, 8, 16), net.const(np.array([8, 8])), outputs=2, axis=1)
    return net.classify(net.conv(net.op("Mul", first, net.op("Sigmoid", second)), 8, 6), 6)


@image_trap
def spatial_attention(net: Net, x: str) -> str:
    """A gate with one channel for all channels, computed from them."""
    pooled = net.op("Sigmoid", net.conv(x, 8, 1))
    return net.classify(net.padded(net.op("Relu", net.op("Mul", x, pooled)), 8, 6), 6)


@image_trap
def sigmoid_gated_by_space(net: Net, x: str) -> str:
    """What is left of a unit is 0.5 times the gate, which depends on the input."""
    gate = net.op("Sigmoid", net.conv("x", 3, 1))
    return net.classify(net.conv(net.op("Mul", net.op("Sigmoid", net.conv(x, 8, 8)), gate), 8, 6), 6)


@image_trap
def group_normalization(net: Net, x: str) -> str:
    y = net.op("GroupNormalization", x, net.weights(8), net.weights(8), num_groups=4)
    y = net.op("InstanceNormalization", net.padded(net.op("Relu", y), 8, 6), net.weights(6), net.weights(6))
    return net.classify(net.conv(net.op("Relu", y), 6, 4), 4)


@image_trap
def rows_multiplied(net: Net, x: str) -> str:
    """MLP-Mixer: one product goes over pixels, the other over channels."""
    y = net.reshape(x, 1, 8, 144)
    y = net.op("Add", y, net.linear(net.op("Gelu", net.linear(y, 144, 20)), 20, 144))
    y = net.op("Transpose", y, perm=[0, 2, 1])
    y = net.op("Add", y, net.linear(net.op("Gelu", net.linear(y, 8, 16)), 16, 8))
    return net.linear(net.op("ReduceMean", y, net.const(np.array([1])), keepdims=0), 8, 5)


@image_trap
def product_from_the_left(net: Net, x: str) -> str:
    y = net.op("Relu", net.op("MatMul", net.weights(12, 8), net.reshape(x, 8, 144)))
    return str(net.op("MatMul", net.weights(3, 12), y))


@image_trap
def similarity_of_pixels(net: Net, x: str) -> str:
    """Non-local block: channels are summed over in a product of two activations."""
    q, k, v = (net.reshape(net.conv(x, 8, 6), 1, 6, 144) for _ in range(3))
    scores = net.op("Softmax", net.op("MatMul", net.op("Transpose", q, perm=[0, 2, 1]), k), axis=-1)
    y = net.op("MatMul", v, net.op("Transpose", scores, perm=[0, 2, 1]))
    return net.classify(net.op("Add", x, net.conv(net.reshape(y, 1, 6, 12, 12), 6, 8)), 8)


@image_trap
def unknown_operator_beside(net: Net, x: str) -> str:
    """It freezes what it touches, and only that."""
    y = net.op("Relu", net.padded(net.op("Relu", net.padded(x, 8, 12)), 12, 8))
    z = net.conv(y, 8, 4)
    product = net.op("Einsum", z, z, equation="bchw,bchw->b")
    return str(net.op("Add", net.classify(y, 8), net.op("Unsqueeze", product, net.const(np.array([1])))))


def _heads(net: Net, x: str, count: int, perm: tuple[int, ...] = (0, 2, 1, 3)) -> str:
    result: str = net.op("Transpose", net.reshape(x, 1, 6, count, 4), perm=list(perm))
    return result


def _attend(net: Net, parts: Iterable[str], mask: bool = True) -> str:
    q, k, v = parts
    scores = net.op("Mul", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), net.const(0.5))
    if mask:
        scores = net.op("Add", scores, net.const(np.triu(np.full((1, 1, 6, 6), -1e4), 1)))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    return net.reshape(net.op("Transpose", mixed, perm=[0, 2, 1, 3]), 1, 6, -1)


@token_trap
def attention(net: Net, x: str) -> str:
    y = _attend(net, (_heads(net, net.linear(x, 16, 16), 4) for _ in range(3)))
    return net.linear(net.op("Relu", net.linear(net.op("Add", x, net.linear(y, 16, 16)), 16, 24)), 24, 5)


@token_trap
def fused_qkv(net: Net, x: str) -> str:
    q, k, v = net.op("Split", net.linear(x, 16, 48), outputs=3, axis=2, num_outputs=3)
    y = _attend(net, (_heads(net, part, 4) for part in (q, k, v)), mask=False)
    return net.linear(net.op("Add", x, net.linear(y, 16, 16)), 16, 5)


@token_trap
def fused_qkv_gathered(net: Net, x: str) -> str:
    """As vision transformers are exported: [1, tokens, 3, heads, size], then one Gather a part."""
    qkv = net.reshape(net.linear(x, 16, 48), 1, 6, 3, 4, 4)
    qkv = net.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
    y = _attend(net, (net.op("Gather", qkv, net.const(np.array(i)), axis=0) for i in range(3)))
    return net.linear(net.op("Add", x, net.linear(y, 16, 16)), 16, 5)


@token_trap
def grouped_query_heads(net: Net, x: str) -> str:
    """Two heads of keys and values for six of queries, repeated."""
    q = _heads(net, net.linear(x, 16, 24), 6)
    k, v = (_repeated(net, _heads(net, net.linear(x, 16, 8), 2)) for _ in range(2))
    return net.linear(_attend(net, (q, k, v)), 24, 5)


def _repeated(net: Net, x: str) -> str:
    wide = net.op("Unsqueeze", x, net.const(np.array([2])))
    wide = net.op("Expand", wide, net.const(np.array([1, 2, 3, 6, 4])))
    return net.reshape(wide, 1, 6, 6, 4)


@token_trap
def one_head_of_keys_for_all_queries(net: Net, x: str) -> str:
    """Multi-query attention, broadcast in the product: heads of queries go alone."""
    q = _heads(net, net.linear(x, 16, 24), 6)
    k, v = (_heads(net, net.linear(x, 16, 4), 1) for _ in range(2))
    return net.linear(_attend(net, (q, k, v)), 24, 5)


@token_trap
def one_head_of_keys_in_the_operator(net: Net, x: str) -> str:
    q, k, v = net.linear(x, 16, 24), net.linear(x, 16, 4), net.linear(x, 16, 4)
    return net.linear(net.op("Attention", q, k, v, q_num_heads=6, kv_num_heads=1), 24, 5)


@token_trap
def product_without_bias_that_is_split(net: Net, x: str) -> str:
    """What is left of units of the sigmoid needs a sum between the product and what splits it."""
    first, second = net.op(
        "Split", net.linear(net.op("Sigmoid", x), 16, 24, bias=False), outputs=2, axis=2, num_outputs=2
    )
    parts = [
        net.op("Slice", first, *(net.const(np.array([v])) for v in ends)) for ends in ((0, 6, 2), (6, 12, 2))
    ]
    y = net.op("Mul", net.op("Concat", *parts, axis=2), net.reshape(second, 1, 6, 12))
    return net.linear(y, 12, 5)


@image_trap
def shared_weights_that_read_different_constants(net: Net, x: str) -> str:
    """One convolution after a sigmoid and after an exponential: from then on the biases differ."""
    weights, bias = net.weights(6, 8, 1, 1), net.weights(6)
    first, second = (net.op("Conv", net.op(kind, x), weights, bias) for kind in ("Sigmoid", "Exp"))
    return net.classify(net.op("Mul", first, net.op("Tanh", second)), 6)


@image_trap
def gemm_that_ignores_its_bias(net: Net, x: str) -> str:
    y = net.op("Flatten", net.op("GlobalMaxPool", net.op("Sigmoid", x)))
    y = net.op("Gemm", y, net.weights(8, 6), net.weights(6), alpha=2.0, beta=0.0)
    return str(net.op("Gemm", y, net.weights(6, 5), net.weights(1, 5)))


@token_trap
def rotary_positions(net: Net, x: str) -> str:
    def turned(y: str) -> str:
        first, second = net.op("Split", y, outputs=2, axis=3, num_outputs=2)
        other = net.op("Concat", net.op("Neg", second), first, axis=3)
        cosine, sine = (net.weights(1, 1, 6, 4) for _ in range(2))
        return str(net.op("Add", net.op("Mul", y, cosine), net.op("Mul", other, sine)))

    q, k, v = (_heads(net, net.linear(x, 16, 16), 4) for _ in range(3))
    return net.linear(_attend(net, (turned(q), turned(k), v)), 16, 5)


@token_trap
def one_head(net: Net, x: str) -> str:
    q, k, v = (net.linear(x, 16, 12) for _ in range(3))
    scores = net.op("Softmax", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), axis=-1)
    return net.linear(net.op("MatMul", scores, v), 12, 5)


@token_trap
def class_token_and_positions(net: Net, x: str) -> str:
    y = net.op("Concat", net.weights(1, 1, 16), x, axis=1)
    y = net.op("Mul", net.op("Add", y, net.weights(1, 7, 16)), net.weights(16))
    y = net.op("Add", y, net.linear(net.op("Gelu", net.linear(y, 16, 24)), 24, 16))
    return net.linear(net.op("Gather", y, net.const(np.array(0)), axis=1), 16, 5)


@token_trap
def transformer(net: Net, x: str) -> str:
    y = net.op("LayerNormalization", x, net.weights(16), net.weights(16), axis=-1)
    y = _attend(net, (_heads(net, net.linear(y, 16, 16), 4) for _ in range(3)))
    x = net.op("Add", x, net.linear(y, 16, 16))
    y = net.op("LayerNormalization", x, net.weights(16), axis=-1)
    x = net.op("Add", x, net.linear(net.op("Gelu", net.linear(y, 16, 40)), 40, 16))
    return net.linear(x, 16, 5)


@token_trap
def root_mean_square(net: Net, x: str) -> str:
    y = net.op("RMSNormalization", x, net.weights(16), axis=-1)
    return net.linear(net.op("Add", x, net.linear(net.op("Swish", net.linear(y, 16, 24)), 24, 16)), 16, 5)


def _grouped_attention(net: Net, x: str, **attributes: int) -> str:
    q, k, v = net.linear(x, 16, 24), net.linear(x, 16, 8), net.linear(x, 16, 12)
    return str(net.op("Attention", q, k, v, q_num_heads=6, kv_num_heads=2, **attributes))


@token_trap
def attention_operator(net: Net, x: str) -> str:
    return net.linear(_grouped_attention(net, x, is_causal=1), 36, 5)


@token_trap
def attention_operator_with_a_mask_for_each_head(net: Net, x: str) -> str:
    q, k, v = (_heads(net, net.linear(x, 16, 16), 4) for _ in range(3))
    y = net.op("Transpose", net.op("Attention", q, k, v, net.weights(4, 6, 6)), perm=[0, 2, 1, 3])
    return net.linear(net.reshape(y, 1, 6, 16), 16, 5)


@token_trap
def attention_operator_with_one_head(net: Net, x: str) -> str:
    q, k, v = (net.linear(x, 16, 12) for _ in range(3))
    return net.linear(net.op("Attention", q, k, v, q_num_heads=1, kv_num_heads=1), 12, 5)


def _recurrent(
    net: Net, x: str, kind: str, gates: int, directions: int, *states: str, **attributes: object
) -> str:
    x = net.op("Transpose", net.op("Relu", x), perm=[1, 0, 2])
    weights = [net.weights(directions, gates * 8, size) for size in (16, 8)]
    bias = net.const(net.random.standard_normal((directions, 2 * gates * 8)) * 0.3)
    direction = "bidirectional" if directions == 2 else "forward"
    given = (x, *weights, bias, "", *states)
    y, last = net.op(kind, *given, outputs=2, hidden_size=8, direction=direction, **attributes)
    y = net.reshape(net.op("Transpose", y, perm=[0, 2, 1, 3]), 6, 1, directions * 8)
    last = net.reshape(net.op("Transpose", last, perm=[1, 0, 2]), 1, directions * 8)
    return str(net.op("Add", net.linear(y, directions * 8, 5), net.linear(last, directions * 8, 5)))


@token_trap
def lstm(net: Net, x: str) -> str:
    states = [net.weights(1, 1, 8) for _ in range(2)]
    return _recurrent(net, x, "LSTM", 4, 1, *states)


@token_trap
def lstm_in_both_directions(net: Net, x: str) -> str:
    return _recurrent(net, x, "LSTM", 4, 2)


@token_trap
def gru_in_both_directions(net: Net, x: str) -> str:
    return _recurrent(net, x, "GRU", 3, 2, linear_before_reset=1)


@token_trap
def plain_recurrence(net: Net, x: str) -> str:
    return _recurrent(net, x, "RNN", 1, 1)


@trap
def embedding(net: Net, prepared: bool) -> Model:
    x = net.op("Gather", net.weights(20, 16), "ids", axis=0)
    y = net.op("Add", x, net.linear(net.op("Tanh", net.linear(x, 16, 24)), 24, 16))
    return net.model(
        {"ids": [1, 6]}, net.linear(y, 16, 5), types={"ids": TensorProto.INT64}, prepared=prepared
    )
