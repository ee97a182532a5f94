"""Types where onnx's own inference is silent or wrong follow from the operator's specification."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

import pytest

from edgecompile.passes.edit import static_shape
from edgecompile.passes.prove import generate_inputs, run_model
from tests.support.graphs import model

CASES = {
    "one hot": "g (int64[2,3] x) => (float[N] y) <int64 d = {5}, float[2] v = {0, 1}> { y = OneHot <axis = 1> (x, d, v) }",
    "one hot, last axis": "g (int64[2,3] x) => (float[N] y) <int64 d = {4}, float[2] v = {0, 1}> { y = OneHot (x, d, v) }",
    "compress": "g (float[3,2] x) => (float[N] y) <bool[3] c = {1, 0, 1}> { y = Compress <axis = 0> (x, c) }",
    "compress flat": "g (float[3,2] x) => (float[N] y) <bool[3] c = {1, 0, 1}> { y = Compress (x, c) }",
    "stft onesided": "g (float[1,64,1] x) => (float[N] y) <int64 s = {8}, int64 n = {16}> { y = STFT (x, s, , n) }",
    "stft both sides": "g (float[1,64,1] x) => (float[N] y) <int64 s = {8}, int64 n = {16}> { y = STFT <onesided = 0> (x, s, , n) }",
    "group norm": "g (float[1,4,5] x) => (float[N] y) <float[4] s = {1,1,1,1}> { y = GroupNormalization <num_groups = 2> (x, s, s) }",
    "mvn": "g (float[1,4,5,2] x) => (float[N] y) { y = MeanVarianceNormalization (x) }",
    "window": "g (float[1] x) => (float[N] y) <int64 n = {7}> { w = HannWindow (n) y = Add (x, w) }",
    "mel": """g (float[1] x) => (float[N] y) <int64 bins = {8}, int64 n = {16}, int64 rate = {8000},
        float low = {0}, float high = {4000}> { m = MelWeightMatrix (bins, n, rate, low, high) y = Add (x, m) }""",
    "range of one-element vectors": """g (float[1] x) => (float[N] y) <float[1] a = {0}, float[1] b = {5},
        float[1] d = {1}> { r = Range (a, b, d) y = Add (x, r) }""",
}


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_inferred_shape_is_the_shape_that_onnxruntime_computes(text: str) -> None:
    typed = model(text, typed=True)
    inputs = generate_inputs(typed.inputs, seed=1)
    assert static_shape(typed.graph.graph.outputs[0]) == run_model(typed, inputs)[0].shape


@pytest.mark.parametrize("rank", [3, 4])
def test_attention_outputs(rank: int) -> None:
    shape, heads = ("1,5,12", "<q_num_heads = 3, kv_num_heads = 3>") if rank == 3 else ("1,3,5,4", "")
    text = f"""g (float[{shape}] q, float[{shape}] k, float[{shape}] v, float[1,3,2,4] pk, float[1,3,2,4] pv)
        => (float[N] y, float[N] nk, float[N] nv, float[N] qk) {{
        y, nk, nv, qk = Attention {heads} (q, k, v, , pk, pv)
    }}"""
    typed = model(text, typed=True)
    results = run_model(typed, generate_inputs(typed.inputs, seed=1))
    assert [static_shape(value) for value in typed.graph.graph.outputs] == [r.shape for r in results]
