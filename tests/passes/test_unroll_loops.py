from __future__ import annotations

import pytest

from edgecompile.errors import UnsupportedError
from edgecompile.passes.unroll_loops import UnrollLoops
from tests.support.graphs import model, operators, run_proven

SCAN = """g (float[3,2] xs, float[2] s0) => (float[2] s, float[3,2] ys) {
  s, ys = Scan <num_scan_inputs = 1 ATTRIBUTES, body = b (float[2] a, float[2] x)
    => (float[2] c, float[2] y) { c = Add(a, x)  y = Mul(c, x) }> (s0, xs) }"""

LOOP = """g (float[2] s0) => (float[2] s, float[4,2] ys)
  <int64 n = {4}, bool t = {1}, float[2] k = {1,2}> {
  s, ys = Loop <body = b (int64 i, bool cond, float[2] a)
    => (bool again, float[2] c, float[2] y) {
    again = Identity(cond)  f = Cast<to = 1>(i)  d = Add(a, k)  c = Mul(d, f)  y = Identity(c)
  }> (n, t, s0) }"""


@pytest.mark.parametrize(
    "attributes",
    ["", ", scan_input_directions = [1]", ", scan_output_directions = [1]", ", scan_output_axes = [0]"],
)
def test_scan(attributes: str) -> None:
    before = model(SCAN.replace("ATTRIBUTES", attributes), typed=True)
    result = run_proven(UnrollLoops(), before)
    assert operators(result.model).count("Add") == 3
    assert "Scan" not in operators(result.model)
    assert result.notes == ("loops unrolled: 1",)


def test_scan_along_other_axes() -> None:
    text = """g (float[2,3] xs, float[2] s0) => (float[2] s, float[2,3] ys) {
      s, ys = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [-1],
        body = b (float[2] a, float[2] x) => (float[2] c, float[2] y) {
          c = Add(a, x)  y = Relu(c) }> (s0, xs) }"""
    assert "Scan" not in operators(run_proven(UnrollLoops(), model(text, typed=True)).model)


def test_loop_reads_its_counter_and_values_outside() -> None:
    result = run_proven(UnrollLoops(), model(LOOP, typed=True))
    assert operators(result.model).count("Mul") == 4


def test_nested_loops() -> None:
    text = """g (float[2,3] xs, float s0) => (float s) {
      s = Scan <num_scan_inputs = 1, body = outer (float a, float[3] row) => (float c) {
        c = Scan <num_scan_inputs = 1, body = inner (float d, float x) => (float e) {
          e = Add(d, x) }> (a, row)
      }> (s0, xs) }"""
    result = run_proven(UnrollLoops(), model(text, typed=True))
    assert operators(result.model).count("Add") == 6


def test_a_graph_without_loops_is_left_alone() -> None:
    assert not run_proven(UnrollLoops(), model("g (float[2] x) => (float[2] y) { y = Relu(x) }")).modified


def test_a_loop_that_data_ends_is_refused() -> None:
    before = model(
        LOOP.replace("again = Identity(cond)", "z = ReduceSum<keepdims = 0>(a)  again = Cast<to = 9>(z)")
    )
    with pytest.raises(
        UnsupportedError, match=r"EC4221.*Loop.*number of iterations is not known at compile time"
    ):
        UnrollLoops()(before)


def test_a_long_loop_is_refused_with_its_size() -> None:
    with pytest.raises(UnsupportedError, match=r"4 iterations would become 20 nodes, more than 19.*LSTM"):
        UnrollLoops(max_nodes=19)(model(LOOP, typed=True))


def test_all_refusals_are_listed_at_once() -> None:
    text = """g (float[2] x, int64 n, bool t) => (float[2] y, float[2] z) {
          y = Loop <body = b (int64 i, bool c, float[2] a) => (bool d, float[2] e) {
            d = Identity(c)  e = Relu(a) }> (n, t, x)
          z = Loop <body = h (int64 i, bool c, float[2] a) => (bool d, float[2] e) {
            d = Identity(c)  e = Abs(a) }> (n, t, x) }"""
    with pytest.raises(UnsupportedError) as caught:
        UnrollLoops()(model(text, typed=True))
    assert [problem.code for problem in caught.value.problems] == ["EC4221", "EC4221"]
