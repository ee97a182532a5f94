"""Each broken promise is reported with the node that broke it."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

import pytest

from edgecompile.errors import EdgeCompileError, InputError, UnsupportedError
from edgecompile.passes.check_static import CheckStatic
from tests.support.graphs import model

BROKEN: dict[str, tuple[str, type[EdgeCompileError], str]] = {
    "data-dependent shape": (
        "g (float[4] x) => (int64[1,N] y) { n = NonZero (x) y = Add (n, n) }",
        UnsupportedError,
        r"^error\[EC4211\] the result of NonZero has no fixed shape at 'NonZero_0': the shape of 'n' depends on the "
        r"values of 'x'\. Fix: .*\.$",
    ),
    "random": (
        "g (float[4] x) => (float[4] y) { r = RandomNormalLike (x) y = Add (x, r) }",
        UnsupportedError,
        r"^error\[EC4213\] RandomNormalLike is random at 'RandomNormalLike_0': a compiled network must give the same",
    ),
    "training dropout": (
        "g (float[4] x) => (float[4] y) { t = Constant <value = bool {1}> () y = Dropout (x, , t) }",
        UnsupportedError,
        r"EC4214\] Dropout is in training mode at 'Dropout_1'",
    ),
    "training batch norm": (
        "g (float[2,3] x, float[3] s) => (float[2,3] y, float[3] m, float[3] v)"
        "{ y, m, v = BatchNormalization <training_mode = 1> (x, s, s, s, s) }",
        UnsupportedError,
        r"EC4214\] BatchNormalization is in training mode",
    ),
    "sequence": (
        "g (float[4] x) => (float[4] y) { s = SequenceConstruct (x) i = Constant <value = int64 {0}> () y = SequenceAt (s, i) }",
        UnsupportedError,
        r"EC4212\] 's', result of SequenceConstruct, is not a tensor but Sequence",
    ),
    "string": (
        "g (float[4] x) => (string[4] y) { y = Cast <to = 8> (x) }",
        UnsupportedError,
        r"EC4212\] Cast computes strings at 'Cast_0'",
    ),
    "four terabytes": (
        "g (float x) => (float[N,M] y) { s = Constant <value = int64[2] {1048576, 1048576}> () b = ConstantOfShape (s) y = Add (b, x) }",
        InputError,
        r"^error\[EC3202\] tensor 'b', result of ConstantOfShape, is too large at 'ConstantOfShape_1': 4398046511104 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_promise_is_named(text: str, kind: type[EdgeCompileError], message: str) -> None:
    with pytest.raises(kind, match=message):
        CheckStatic()(model(text, typed=True))


def test_all_problems_are_reported_but_not_their_consequences() -> None:
    text = """g (float[4] x) => (int64[N] y) { a = NonZero (x) b = Neg (a)
        r = RandomNormalLike (x) c = NonZero (r) y = Concat <axis = 1> (b, c) }"""
    with pytest.raises(UnsupportedError) as caught:
        CheckStatic()(model(text, typed=True))
    assert [problem.where for problem in caught.value.problems] == [
        "NonZero_0",
        "RandomNormalLike_2",
        "NonZero_3",
    ]


def test_static_graph_passes_unchanged() -> None:
    before = model("g (float[4] x) => (float[4] y) { y = Exp (x) }", typed=True)
    data = before.to_bytes()
    result = CheckStatic()(before)
    assert not result.modified
    assert result.model.to_bytes() == data
