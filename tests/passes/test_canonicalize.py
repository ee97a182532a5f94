"""The whole list: one form for every network, the same bytes every time."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import onnx
import pytest

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass, Pipeline
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.edit import static_shape
from edgecompile.passes.prove import prove_in_onnxruntime
from tests.support.graphs import model, operators

KEEP = frozenset({("", "Relu"), ("", "Clip"), ("", "Softmax")})

# An old exporter's idea of a head: opset 9, flatten by shape arithmetic, dropout, duplicate branches.
OLD_HEAD = """g (float[1,3,2,2] x) => (float[1,4] y, float[1,4] z)
    <float[12,4] w = {1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4,1,2,3,4}> {
    zero = Constant <value = int64 {0}> ()
    s = Shape (x)
    n = Gather (s, zero)
    n1 = Unsqueeze <axes = [0]> (n)
    rest = Constant <value = int64[1] {-1}> ()
    target = Concat <axis = 0> (n1, rest)
    d = Dropout <ratio = 0.5> (x)
    f = Reshape (d, target)
    g = Reshape (x, target)
    a = MatMul (f, w)
    b = MatMul (g, w)
    c = Clip <min = 0.0, max = 6.0> (b)
    unread = Exp (c)
    y = Softmax <axis = 1> (a)
    z = Softsign (c)
}"""


def _run(before: Model, keep: frozenset[tuple[str, str]] | None = KEEP) -> Model:
    return Pipeline(canonicalize_passes(keep)).run(before, prove_in_onnxruntime)[0]


def test_old_head_becomes_canonical() -> None:
    result = _run(model(OLD_HEAD, 9))
    assert operators(result) == ["Reshape", "MatMul", "Clip", "Softmax", "Abs", "Add", "Div"]
    assert [info.shape for info in result.outputs] == [(1, 4), (1, 4)]
    onnx.checker.check_model(result.to_proto(), full_check=True)


def test_without_keep_nothing_is_expanded() -> None:
    assert "Softsign" in operators(_run(model(OLD_HEAD, 9), None))


def test_everything_has_a_static_type_and_a_unique_name() -> None:
    graph = _run(model(OLD_HEAD, 9)).graph.graph
    values = [value for node in graph for value in node.outputs]
    assert all(static_shape(value) is not None and value.dtype for value in values)
    assert len({value.name for value in values}) == len(values)
    assert len({node.name for node in graph}) == len(list(graph))
    assert all(value.producer() is not None for value in graph.outputs)


def test_a_second_run_changes_nothing() -> None:
    once = _run(model(OLD_HEAD, 9))
    data = once.to_bytes()
    twice, records = Pipeline(canonicalize_passes(KEEP)).run(once)
    assert [record.name for record in records if record.modified] == []
    assert twice.to_bytes() == data


@pytest.mark.parametrize("seed", ["1", "2"])
def test_bytes_do_not_depend_on_the_hash_seed(seed: str) -> None:
    script = (
        "import hashlib; from tests.passes.test_canonicalize import *; from tests.passes.test_canonicalize import _run;"
        "print(hashlib.sha256(_run(model(OLD_HEAD, 9)).to_bytes()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    digest = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    import hashlib

    assert digest.stdout.strip() == hashlib.sha256(_run(model(OLD_HEAD, 9)).to_bytes()).hexdigest()


def test_passes_are_passes_and_travel_to_another_process() -> None:
    passes = canonicalize_passes(KEEP)
    assert all(isinstance(step, Pass) for step in passes)
    copies = pickle.loads(pickle.dumps(passes))
    assert [step.name for step in copies] == [step.name for step in passes]


def test_names_are_those_of_the_files() -> None:
    for step in canonicalize_passes(KEEP):
        assert type(step).__module__ == f"edgecompile.passes.{step.name}"
