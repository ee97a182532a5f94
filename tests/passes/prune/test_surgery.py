"""Two networks become one, and everything that does not fit is named."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import UnsupportedError
from edgecompile.passes.edit import Array
from edgecompile.passes.prove import generate_inputs, run_model
from edgecompile.passes.prune.surgery import graft, splice
from tests.passes.prune.cutting import check_shapes
from tests.passes.prune.nets import Net


def _features(name: str = "features", channels: int = 8) -> Model:
    net = Net(name)
    return net.model({"x": [1, 3, 6, 6]}, net.op("Relu", net.padded("x", 3, channels)))


def _head(name: str = "head", given: str = "x", channels: int = 8) -> Model:
    net = Net(name)
    return net.model(
        {given: [1, channels, 6, 6]}, net.classify(net.op("Relu", net.padded(given, channels, 4)), 4)
    )


def _run(model: Model, *arrays: Array) -> list[Array]:
    names = [str(value.name) for value in model.graph.graph.inputs]
    onnx.checker.check_model(model.to_proto())
    check_shapes(model)
    return run_model(model, dict(zip(names, arrays, strict=True)))


def _image() -> Array:
    return generate_inputs(_features().inputs, 3)["x"]


def test_spliced_networks_run_one_after_the_other() -> None:
    first, second = _features(), _head()
    joined = splice(first, second)
    (expected,) = _run(second, _run(first, _image())[0])
    np.testing.assert_array_equal(_run(joined, _image())[0], expected)
    names = [node.name for node in joined.graph.graph]
    assert names[:3] == ["Conv0", "Relu1", "Conv0/2"]
    assert len(set(names)) == len(names)
    assert [value.name for value in joined.graph.graph.inputs] == ["x"]


def test_outputs_and_inputs_without_partner_stay() -> None:
    net = Net("two")
    y = net.padded("x", 3, 8)
    first = net.model({"x": [1, 3, 6, 6]}, net.op("Relu", y), net.op("Tanh", y))
    net = Net("sum")
    second = net.model({"a": [1, 8, 6, 6], "b": [1, 8, 6, 6]}, net.op("Add", "a", net.op("Neg", "b")))
    joined = splice(first, second, {"Tanh2_0": "b"})
    assert [value.name for value in joined.graph.graph.inputs] == ["x", "a"]
    relu, tanh = _run(first, _image())
    ones = np.ones((1, 8, 6, 6), np.float32)
    results = _run(joined, _image(), ones)
    np.testing.assert_array_equal(results[0], relu)
    np.testing.assert_allclose(results[1], ones - tanh)


def test_a_grafted_branch_replaces_what_it_stands_for() -> None:
    model = splice(_features(), _head())
    net = Net("branch")
    branch = net.model({"f": [1, 8, 6, 6]}, net.op("Sigmoid", net.padded("f", 8, 8)))
    grafted = graft(model, branch, {"f": "Relu1_0"}, {"Sigmoid1_0": "Relu1_0"})
    expected = _run(_head(), _run(branch, _run(_features(), _image())[0])[0])[0]
    np.testing.assert_allclose(_run(grafted, _image())[0], expected, rtol=1e-6)


def test_a_grafted_head_is_a_further_output() -> None:
    model, extra = splice(_features(), _head()), _head("other", "f")
    grafted = graft(model, extra, {"f": "Relu1_0"})
    first, second = _run(grafted, _image())
    np.testing.assert_array_equal(first, _run(model, _image())[0])
    np.testing.assert_array_equal(second, _run(extra, _run(_features(), _image())[0])[0])


def test_what_a_graft_makes_useless_goes_and_outputs_keep_their_names() -> None:
    model = splice(_features(), _head())
    (output,) = model.graph.graph.outputs
    part = _head("other", "f")
    replaced = str(part.graph.graph.outputs[0].name)
    grafted = graft(model, part, {"f": "Relu1_0"}, {replaced: str(output.name)})
    assert len(list(grafted.graph.graph)) == len(list(model.graph.graph))
    assert [value.name for value in grafted.graph.graph.outputs] == [output.name]
    np.testing.assert_array_equal(_run(grafted, _image())[0], _run(part, _run(_features(), _image())[0])[0])


def test_all_tensors_that_do_not_fit_are_named() -> None:
    message = (
        r"EC4534.*do not fit at 'x': 'Relu1_0' float32\[1, 6, 6, 6\] "
        r"would be read as 'x' float32\[1, 8, 6, 6\]"
    )
    with pytest.raises(UnsupportedError, match=message):
        splice(_features(channels=6), _head())
    with pytest.raises(
        UnsupportedError, match=r"EC4533.*no output of the first network.*'Relu0_0'.*'Relu1_0'"
    ):
        splice(_features(), _head(), {"Relu0_0": "x"})
    with pytest.raises(UnsupportedError, match=r"EC4533.*no input of the second network.*'y'"):
        splice(_features(), _head(), {"Relu1_0": "y"})
    with pytest.raises(UnsupportedError) as caught:
        graft(_features(), _head(), {"y": "Conv0_0", "x": "Conv9_0"}, {"z": "Relu1_0"})
    assert len(re.findall("EC4533", str(caught.value))) >= 1
    with pytest.raises(UnsupportedError, match=r"EC4533.*no tensor given for the input of the part.*'x'"):
        graft(_features(), _head(), {})


def test_an_input_is_fed_once() -> None:
    net = Net("two")
    y = net.padded("x", 3, 8)
    first = net.model({"x": [1, 3, 6, 6]}, net.op("Relu", y), net.op("Tanh", y))
    with pytest.raises(UnsupportedError, match=r"EC4537.*one place at 'x': 'Relu1_0', 'Tanh2_0'"):
        splice(first, _head(), {"Relu1_0": "x", "Tanh2_0": "x"})


def test_a_part_cannot_read_its_own_result() -> None:
    net = Net("branch")
    branch = net.model({"f": [1, 8, 6, 6]}, net.op("Tanh", "f"))
    model = _features()
    with pytest.raises(
        UnsupportedError, match=r"EC4536.*its own result at 'Relu1_0': it comes after 'Conv0_0'"
    ):
        graft(model, branch, {"f": "Relu1_0"}, {"Tanh0_0": "Conv0_0"})


def test_different_operator_sets_are_refused() -> None:
    second = _head()
    second.graph.opset_imports[""] = 17
    with pytest.raises(UnsupportedError, match=r"EC4535.*different versions of operators.*24 and 17"):
        splice(_features(), second)
