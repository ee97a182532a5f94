"""Every kind of kernel on the simulated GPU, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecompile.core.fused import DOMAIN
from edgecompile.core.model import Model
from edgecompile.lower.build_gpu import gpu_isa
from edgecompile.lower.lower import lower_graph
from tests.support.gpu_networks import GPU, check_cases, node_case, simulated_functions
from tests.support.operators import Array, normal

Case = tuple[Model, list[Array], list[Array]]


def conv(*data: int, weights: tuple[int, ...], **attributes: Any) -> Case:
    """A channels-last convolution of normal numbers, with a bias."""
    inputs = [normal(*data), normal(*weights, seed=1), normal(weights[0], seed=2)]
    return node_case("ConvNhwc", inputs, constants=(1, 2), domain=DOMAIN, **attributes)


def gemm(m: int, k: int, n: int) -> Case:
    inputs = [normal(m, k), normal(n, k, seed=1), normal(n, seed=2)]
    return node_case("Gemm", inputs, constants=(1, 2), transB=1)


def test_convolutions() -> None:
    pads = [1, 1, 1, 1]
    check_cases(
        {
            "1x1": conv(1, 9, 7, 16, weights=(24, 16, 1, 1)),
            "3x3": conv(1, 8, 8, 8, weights=(16, 8, 3, 3), pads=pads),
            "3x3, odd sizes": conv(1, 7, 5, 3, weights=(5, 3, 3, 3), pads=pads),
            "strided": conv(1, 11, 9, 6, weights=(8, 6, 3, 3), pads=pads, strides=[2, 2]),
            "dilated": conv(2, 9, 9, 4, weights=(4, 4, 3, 3), dilations=[2, 2]),
            "grouped": conv(1, 6, 6, 12, weights=(18, 4, 3, 3), pads=pads, group=3),
            "depthwise": conv(1, 9, 9, 20, weights=(20, 1, 3, 3), pads=pads, group=20),
            "depthwise, strided": conv(
                1, 9, 8, 6, weights=(6, 1, 5, 5), pads=[2, 2, 2, 2], group=6, strides=[2, 2]
            ),
            "depthwise, several pixels": conv(1, 30, 61, 24, weights=(24, 1, 3, 3), pads=pads, group=24),
            "depthwise, strided, several pixels": conv(
                1, 61, 63, 12, weights=(12, 1, 5, 5), pads=[1, 2, 2, 1], group=12, strides=[2, 2]
            ),
            "depthwise, dilated": conv(
                1, 12, 12, 4, weights=(4, 1, 3, 3), pads=[2, 2, 2, 2], group=4, dilations=[2, 2]
            ),
            "one dimension": conv(1, 40, 1, 3, weights=(6, 3, 5, 1), pads=[2, 0, 2, 0]),
            "a long sum": conv(1, 3, 3, 128, weights=(16, 128, 3, 3), pads=pads),
            "transposed": node_case(
                "ConvTranspose",
                [normal(1, 4, 5, 5), normal(4, 3, 3, 3, seed=1)],
                constants=(1,),
                strides=[2, 2],
            ),
        }
    )


def test_products() -> None:
    check_cases(
        {
            "a row": gemm(1, 70, 10),
            "a long row": gemm(1, 700, 40),
            "rows": gemm(33, 20, 50),
            "tiny": gemm(2, 3, 2),
            "batched": node_case("MatMul", [normal(2, 3, 5, 8), normal(2, 3, 8, 7, seed=1)]),
            "shared": node_case("MatMul", [normal(2, 9, 16), normal(16, 12, seed=1)], constants=(1,)),
        }
    )


def test_rows() -> None:
    data, long = normal(3, 4, 50), normal(2, 1500, seed=1)
    factors = [normal(50, seed=2), normal(50, seed=3)]
    equal = np.random.default_rng(4).integers(-3, 3, (3, 4, 70)).astype("int32")
    unknown = np.where(np.arange(1500) % 700 == 699, np.nan, long).astype("float32")
    check_cases(
        {
            "softmax": node_case("Softmax", [data]),
            "softmax, few": node_case("Softmax", [normal(1, 10)]),
            "softmax, a block a row": node_case("Softmax", [long * 10]),
            "softmax across": node_case("Softmax", [data], axis=1),
            "log softmax": node_case("LogSoftmax", [data]),
            "layer norm": node_case("LayerNormalization", [data, *factors], constants=(1, 2)),
            "layer norm, a block a row": node_case(
                "LayerNormalization", [long, normal(1500)], constants=(1,)
            ),
            "instance norm": node_case(
                "InstanceNormalization", [normal(2, 3, 7, 9), normal(3), normal(3, seed=1)]
            ),
            "lp norm": node_case("LpNormalization", [data], axis=1),
            "mean": node_case("ReduceMean", [data], opset=13, axes=[2]),
            "maximum": node_case("ReduceMax", [long], opset=13, axes=[1]),
            "sum across": node_case("ReduceSum", [normal(2, 200, 3)], opset=11, axes=[1]),
            "pooled": node_case("GlobalAveragePoolNhwc", [normal(1, 7, 9, 70)], domain=DOMAIN),
            "pooled, two images": node_case("GlobalAveragePoolNhwc", [normal(2, 8, 8, 33)], domain=DOMAIN),
            "arg max": node_case("ArgMax", [data], axis=1),
            "arg max of a row": node_case("ArgMax", [long], axis=1),
            "the last of equal ones": node_case("ArgMin", [np.round(long)], axis=1, select_last_index=1),
            "arg max of integers": node_case("ArgMax", [equal], axis=2),
            "arg max, not a number": node_case("ArgMax", [unknown], "onnx", axis=1),
        }
    )
    check_cases(
        {"softmax in half": node_case("Softmax", [normal(3, 40, dtype="float16")], "onnx")}, rtol=2e-3
    )


def test_other_operators() -> None:
    image = normal(1, 4, 7, 6)
    sizes = np.array([1, 4, 14, 9], "int64")
    places = np.array([[0, 2], [3, 1]], "int64")
    check_cases(
        {
            "max pool": node_case("MaxPool", [image], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            "average pool": node_case("AveragePool", [image], kernel_shape=[2, 2]),
            "global pool": node_case("GlobalAveragePool", [normal(1, 3, 40, 40)]),
            "resize": node_case("Resize", [image, None, None, sizes], constants=(3,), mode="linear"),
            "resize to neighbours": node_case("Resize", [image, None, None, sizes], constants=(3,)),
            "gather": node_case("Gather", [image, places], constants=(1,), axis=1),
            "scatter": node_case(
                "ScatterElements", [image, places[None, None] % 4, normal(1, 1, 2, 2)], axis=1
            ),
            "concat": node_case("Concat", [image, normal(1, 2, 7, 6)], axis=1),
            "transpose": node_case("Transpose", [image], perm=[0, 2, 3, 1]),
            "pad": node_case("Pad", [image, np.array([0, 0, 1, 2, 0, 0, 2, 1], "int64")], constants=(1,)),
            "erf": node_case("Erf", [image]),
            "sorted": node_case(
                "TopK", [image, np.array([3], "int64")], constants=(1,), outputs=("y0", "y1")
            ),
            "sum over some": node_case("CumSum", [image, np.array(2, "int64")], constants=(1,)),
        }
    )


def test_independent_lines_have_threads_of_their_own() -> None:
    image, positions = normal(1, 4, 7, 6), normal(1, 5, 5, 2)
    cases = {
        "sorted": node_case("TopK", [image, np.array([3], "int64")], constants=(1,), outputs=("y0", "y1")),
        "sum over some": node_case("CumSum", [image, np.array(2, "int64")], constants=(1,)),
        "sampled": node_case("GridSample", [image, positions], opset=20),
    }
    check_cases(cases)
    for name, (model, *_) in cases.items():
        functions = lower_graph(model, "c", gpu_isa(GPU)).functions
        with simulated_functions(functions) as (_, source):
            launches = [launch for kernel in source.kernels.values() for launch in kernel.launches]
        assert all(launch.blocks[0] * launch.threads > 20 for launch in launches), name


def test_recurrent_and_attention() -> None:
    weights = [normal(1, 20, 6, seed=1), normal(1, 20, 5, seed=2), normal(1, 40, seed=3)]
    heads = [normal(1, 2, 9, 8, seed=i) for i in range(3)]
    odd = [normal(1, 2, 9, size, seed=size) for size in (6, 6, 5)]
    merged = [normal(2, 30, size, seed=size) for size in (32, 16, 24)]
    mask = normal(30, 30)
    mask[:, 20:] = -np.inf
    check_cases(
        {
            "lstm": node_case("LSTM", [normal(4, 1, 6), *weights], constants=(1, 2, 3), hidden_size=5),
            "attention": node_case("Attention", heads, "onnx", opset=23),
            "attention, odd sizes": node_case("Attention", odd, "onnx", opset=23),
            "attention, causal": node_case("Attention", heads, "onnx", opset=23, is_causal=1),
            "attention, heads that share keys": node_case(
                "Attention", [*merged, mask], "onnx", opset=23, q_num_heads=4, kv_num_heads=2
            ),
        }
    )
