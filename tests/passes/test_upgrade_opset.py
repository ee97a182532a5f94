"""Every change between opset 7 and the target has its adapter, and adapted nodes compute the same."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

from itertools import pairwise

import onnx
import pytest
from onnx import defs

from edgecompile.errors import UnsupportedError
from edgecompile.passes.opset_adapters import ADAPTERS
from edgecompile.passes.upgrade_opset import TARGET_OPSET, UpgradeOpset
from tests.support.graphs import model, operators, run_proven

# (opset, graph): one old form each. Types are inferred first, as in the pipeline.
OLD_FORMS = {
    "batch norm 7": (7, "g (float[1,2,3] x, float[2] s) => (float[1,2,3] y) { y = BatchNormalization <spatial = 1> (x, s, s, s, s) }"),
    "clip 6": (7, "g (float[4] x) => (float[4] y) { y = Clip <min = -0.5, max = 0.25> (x) }"),
    "clip 6, one bound": (7, "g (float[4] x) => (float[4] y) { y = Clip <max = 0.25> (x) }"),
    "clip 6, double": (10, "g (double[4] x) => (double[4] y) { y = Clip <min = 0.0> (x) }"),
    "dft 17": (17, "g (float[2,8,3,1] x) => (float[2,8,3,2] y) { y = DFT (x) }"),
    "dropout 7": (7, "g (float[4] x) => (float[4] y) { y = Dropout <ratio = 0.3> (x) }"),
    "grid sample 16": (16, "g (float[1,2,4,4] x, float[1,3,3,2] i) => (float[1,2,3,3] y) { y = GridSample <mode = \"bicubic\"> (x, i) }"),
    "grid sample 16, default": (16, "g (float[1,2,4,4] x, float[1,3,3,2] i) => (float[1,2,3,3] y) { y = GridSample (x, i) }"),
    "softmax 11": (11, "g (float[2,3,4] x) => (float[2,3,4] y) { y = Softmax (x) }"),
    "softmax 11, last axis": (11, "g (float[2,3,4] x) => (float[2,3,4] y) { y = Softmax <axis = 2> (x) }"),
    "softmax 7, read on": (7, "g (float[2,3,4] x) => (float[2,3,4] y) { s = Softmax <axis = 0> (x) y = Relu (s) }"),
    "log softmax 11": (11, "g (float[2,3,4] x) => (float[2,3,4] y) { y = LogSoftmax <axis = -2> (x) }"),
    "hardmax 11": (11, "g (float[2,3,4] x) => (float[2,3,4] y) { y = Hardmax (x) }"),
    "pad 2": (10, "g (float[2,3] x) => (float[4,3] y) { y = Pad <pads = [1,0,1,0], value = 2.5> (x) }"),
    "pad 2, reflect": (7, "g (float[3,3] x) => (float[5,3] y) { y = Pad <pads = [1,0,1,0], mode = \"reflect\"> (x) }"),
    "reduce sum 11": (11, "g (float[2,3] x) => (float[2] y) { y = ReduceSum <axes = [1], keepdims = 0> (x) }"),
    "reduce mean 17": (17, "g (float[2,3] x) => (float[1,3] y) { y = ReduceMean <axes = [0]> (x) }"),
    "reduce max 17, all axes": (17, "g (float[2,3] x) => (float[1,1] y) { y = ReduceMax (x) }"),
    "resize 10, nearest": (10, "g (float[1,1,3,3] x) => (float[1,1,6,6] y) <float[4] s = {1,1,2,2}> { y = Resize (x, s) }"),
    "resize 10, linear": (10, "g (float[1,1,3,3] x) => (float[1,1,6,7] y) <float[4] s = {1,1,2,2.5}> { y = Resize <mode = \"linear\"> (x, s) }"),
    "resize 11, empty roi": (11, "g (float[1,1,3,3] x) => (float[1,1,6,6] y) <float[0] roi = {}, float[0] none = {}, int64[4] size = {1,1,6,6}> { y = Resize (x, roi, none, size) }"),
    "resize 11, tf": (11, "g (float[1,1,4,4] x) => (float[1,1,3,3] y) <float[0] roi = {}, float[4] s = {1,1,0.75,0.75}> { y = Resize <coordinate_transformation_mode = \"tf_half_pixel_for_nn\", nearest_mode = \"floor\"> (x, roi, s) }"),
    "roi align 10": (10, "g (float[1,1,8,8] x, float[1,4] r) => (float[1,1,2,2] y) <int64[1] b = {0}> { y = RoiAlign <output_height = 2, output_width = 2> (x, r, b) }"),
    "scatter 9": (9, "g (float[3] x, float[2] u) => (float[3] y) <int64[2] i = {2, 0}> { y = Scatter (x, i, u) }"),
    "slice 1": (9, "g (float[4,5] x) => (float[2,3] y) { y = Slice <starts = [1,2], ends = [3,9]> (x) }"),
    "slice 1, axes": (9, "g (float[4,5] x) => (float[4,2] y) { y = Slice <starts = [-3], ends = [-1], axes = [1]> (x) }"),
    "split 11": (11, "g (float[6] x) => (float[2] a, float[4] b) { a, b = Split <axis = 0, split = [2,4]> (x) }"),
    "split 13, equal": (13, "g (float[6] x) => (float[3] a, float[3] b) { a, b = Split (x) }"),
    "squeeze 11": (11, "g (float[1,3,1] x) => (float[3,1] y) { y = Squeeze <axes = [0]> (x) }"),
    "squeeze 11, all": (11, "g (float[1,3,1] x) => (float[3] y) { y = Squeeze (x) }"),
    "top k 1": (7, "g (float[6] x) => (float[2] v, int64[2] i) { v, i = TopK <k = 2> (x) }"),
    "unsqueeze 11": (11, "g (float[3] x) => (float[1,3,1] y) { y = Unsqueeze <axes = [0,2]> (x) }"),
    "upsample 7": (7, "g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Upsample <scales = [1.0,1.0,2.0,2.0]> (x) }"),
    "upsample 9": (9, "g (float[1,1,2,2] x) => (float[1,1,4,6] y) <float[4] s = {1,1,2,3}> { y = Upsample <mode = \"linear\"> (x, s) }"),
}  # fmt: skip


@pytest.mark.parametrize(("opset", "text"), OLD_FORMS.values(), ids=OLD_FORMS)
def test_old_form_computes_the_same_after_the_upgrade(opset: int, text: str) -> None:
    result = run_proven(UpgradeOpset(), model(text, opset, typed=True))
    assert result.modified
    assert result.model.graph.opset_imports[""] == TARGET_OPSET
    assert all(node.name for node in result.model.graph.graph)


def test_every_adapter_is_exercised() -> None:
    written = " ".join(text for _, text in OLD_FORMS.values())
    families = {"Reduce": "ReduceMean", "Scan": None}
    for operator, _ in ADAPTERS:
        name = next((v for k, v in families.items() if operator.startswith(k)), operator)
        assert name is None or f"{name} " in written, operator


def test_every_breaking_change_has_an_adapter() -> None:
    """A change breaks when an attribute goes, a default changes, an input becomes required, or the operator goes."""
    # Resize-11 and RoiAlign-16 gave a new attribute a default that is not the old behaviour: schemas cannot
    # show it, the table of old forms above does.
    missing = []
    for name in sorted(
        {schema.name for schema in defs.get_all_schemas_with_history() if schema.domain == ""}
    ):
        versions = _versions(name)
        for old, new in pairwise(versions):
            if (
                new.since_version <= TARGET_OPSET
                and _breaks(old, new)
                and (name, new.since_version) not in ADAPTERS
            ):
                missing.append((name, new.since_version))
    assert missing == []


def _versions(name: str) -> list[defs.OpSchema]:
    schemas = [s for s in defs.get_all_schemas_with_history() if s.name == name and s.domain == ""]
    ordered = sorted(schemas, key=lambda schema: schema.since_version)
    first = max([k for k, schema in enumerate(ordered) if schema.since_version <= 7], default=0)
    return ordered[first:]


def _breaks(old: defs.OpSchema, new: defs.OpSchema) -> bool:
    single = defs.OpSchema.FormalParameterOption.Single
    required = sum(entry.option == single for entry in new.inputs)
    gone = any(name not in new.attributes for name in old.attributes)
    changed = any(
        old.attributes[name].default_value.SerializeToString()
        != new.attributes[name].default_value.SerializeToString()
        for name in old.attributes
        if name in new.attributes
    )
    return gone or changed or new.deprecated or required > sum(entry.option == single for entry in old.inputs)


REFUSED = {
    "per-element batch norm": (7, "g (float[1,2,3] x, float[2,3] s) => (float[1,2,3] y) { y = BatchNormalization <spatial = 0> (x, s, s, s, s) }", "spatial=0"),
    "batch norm that trains": (7, "g (float[1,2,3] x, float[2] s) => (float[1,2,3] y) { y, m, v, a, b = BatchNormalization (x, s, s, s, s) }", "training mode"),
    "tf resize, rounding": (11, "g (float[1,1,4,4] x) => (float[1,1,3,3] y) <float[0] roi = {}, float[4] s = {1,1,0.75,0.75}> { y = Resize <coordinate_transformation_mode = \"tf_half_pixel_for_nn\"> (x, roi, s) }", "tf_half_pixel_for_nn"),
    "scan 8": (8, "g (float[1,2] s, float[1,3,2] x) => (float[1,2] l) { l = Scan <num_scan_inputs = 1, body = b (float[2] a, float[2] c) => (float[2] d) { d = Add (a, c) }> (, s, x) }", "batch axis"),
}  # fmt: skip


@pytest.mark.parametrize(("opset", "text", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_said_in_the_new_version_is_refused(opset: int, text: str, reason: str) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"EC4201\] \w+ of opset {opset} cannot be upgraded.*{reason}"
    ):
        UpgradeOpset()(model(text, opset, typed=True))


def test_every_node_that_cannot_be_upgraded_is_named() -> None:
    text = """g (float[1,2] s, float[1,3,2] x) => (float[1,2] y, float[1,2] z) {
        y = Scan <num_scan_inputs = 1, body = b (float[2] a, float[2] c) => (float[2] d) { d = Add (a, c) }> (, s, x)
        z = Scan <num_scan_inputs = 1, body = e (float[2] f, float[2] g) => (float[2] h) { h = Mul (f, g) }> (, s, x)
    }"""
    with pytest.raises(UnsupportedError) as caught:
        UpgradeOpset()(model(text, 8))
    assert [problem.where for problem in caught.value.problems] == ["Scan_0", "Scan_2"]


def test_newer_opset_is_kept() -> None:
    newest = defs.onnx_opset_version()
    text = "g (float[2] x) => (float[2] y) { y = Relu (x) }"
    result = run_proven(UpgradeOpset(), model(text, newest))
    assert not result.modified
    assert result.model.graph.opset_imports[""] == newest


def test_nodes_in_subgraphs_are_upgraded() -> None:
    text = """g (float[2,3] x, bool c) => (float[N] y) {
        y = If (c) <
            then_branch = a () => (float[N] t) { t = ReduceMean <axes = [1], keepdims = 0> (x) },
            else_branch = b () => (float[N] e) { e = ReduceMax <axes = [1], keepdims = 0> (x) }
        >
    }"""
    result = run_proven(UpgradeOpset(), model(text, 13))
    assert {node.op_type for node in result.model.graph.graph.all_nodes()} == {
        "If",
        "Constant",
        "ReduceMean",
        "ReduceMax",
    }


def test_functions_are_upgraded_with_their_parameters() -> None:
    text = "g (float[2,3] x) => (float[2] y) { y = local.mean <over = [1]> (x) }"
    function = """<domain: "local", opset_import: ["" : 17]>
        mean <over> (a) => (b) { b = ReduceMean <axes : ints = @over, keepdims = 0> (a) }"""
    result = run_proven(UpgradeOpset(), model(text, 17, functions=function))
    assert operators(result.model) == ["mean"]
    (body,) = result.model.graph.functions.values()
    assert [node.op_type for node in body] == ["Constant", "ReduceMean"]
    assert body.opset_imports[""] == TARGET_OPSET


def test_target_is_the_newest_opset_that_onnxruntime_runs_completely() -> None:
    """One above it, an operator that onnx knows has no kernel: then the target can be raised."""
    import onnxruntime as ort

    text = "g (float[2] x) => (float[2] y) { y = Swish (x) }"

    def runs(opset: int) -> bool:
        proto = model(text, opset).to_proto()
        try:
            ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception:
            return False
        return True

    assert runs(TARGET_OPSET)
    assert not runs(TARGET_OPSET + 1)
    assert onnx.defs.onnx_opset_version() >= TARGET_OPSET
