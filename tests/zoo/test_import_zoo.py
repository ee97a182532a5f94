"""Every trained network of the zoo imports, becomes fully static, and still computes its golden outputs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions, Shape
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.edit import Array, static_shape
from edgecompile.passes.prove import prove_in_onnxruntime, relative_error, run_model

ZOO = Path(os.environ.get("EDGECOMPILE_ZOO", ""))
pytestmark = [
    pytest.mark.zoo,
    pytest.mark.skipif(
        "EDGECOMPILE_ZOO" not in os.environ, reason="EDGECOMPILE_ZOO does not name the zoo folder"
    ),
]
NETWORKS = (
    sorted(path.stem for path in (ZOO / "models").glob("*.onnx")) if "EDGECOMPILE_ZOO" in os.environ else []
)

# The golden inputs of these have another batch than 1, or sizes that the file leaves open.
SHAPES: dict[str, dict[str, Shape]] = {
    "ppocr_angle_cls": {"x": (2, 3, 48, 192)},
    "silero_vad_16k_sequence": {"input": (8, 576)},
}


def golden(name: str) -> tuple[list[Array], list[Array]]:
    """Inputs and outputs in the order of the network's."""
    with np.load(ZOO / "golden" / f"{name}.npz") as arrays:
        inputs = [arrays[key] for key in arrays.files if key.startswith("in_")]
        return inputs, [arrays[f"out_{k}"] for k in range(len(arrays.files) - len(inputs))]


@pytest.fixture(scope="module", params=NETWORKS)
def imported(request: pytest.FixtureRequest) -> tuple[str, Model]:
    options = ImportOptions(SHAPES.get(request.param, {}))
    pipeline = Pipeline(canonicalize_passes())
    path = str(ZOO / "models" / f"{request.param}.onnx")
    return request.param, import_through(path, options, pipeline, prove_in_onnxruntime)[0]


def test_golden_outputs(imported: tuple[str, Model]) -> None:
    name, model = imported
    inputs, expected = golden(name)
    feeds = {info.name: array for info, array in zip(model.inputs, inputs, strict=True)}
    errors = [relative_error(*pair) for pair in zip(expected, run_model(model, feeds), strict=True)]
    assert max(errors) < 1e-5  # the golden outputs come from onnxruntime with its own fusions


def test_every_tensor_is_static(imported: tuple[str, Model]) -> None:
    for node in imported[1].graph.graph.all_nodes():
        assert node.name
        for value in node.outputs:
            assert not value.name or static_shape(value) is not None, value.name


def test_no_arithmetic_on_shapes_is_left(imported: tuple[str, Model]) -> None:
    kinds = {node.op_type for node in imported[1].graph.graph}
    assert not kinds & {"Shape", "Size", "ConstantOfShape", "Constant", "Dropout"}


def test_sizes_that_the_file_leaves_open_are_asked_for() -> None:
    from edgecompile.errors import UnsupportedError

    with pytest.raises(UnsupportedError, match=r"EC4112.*Fix: --input x:1,3,224,224"):
        import_through(str(ZOO / "models" / "ppocr_angle_cls.onnx"), ImportOptions(), Pipeline(()))
