"""Every operator against TFLite's own kernels: floats are close, quantized results within a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompile.frontend.tflite.importer import load_tflite
from edgecompile.frontend.tflite.registry import TRANSLATIONS
from edgecompile.passes.prove import run_model
from tests.frontend.tflite.cases import all_cases
from tests.frontend.tflite.net import Case
from tests.support.tflite_files import needs_tflite, reference

CASES = all_cases()
# Translations that no case holds: the same function as one that has a case.
WITHOUT_CASE = {"RANK", "ZEROS_LIKE", "FILL"}


@needs_tflite
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_computes_what_tflite_computes(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(case.data)
    network = load_tflite(path)
    # The reference kernel of an 8-bit SUM (LiteRT 2.3) adds a constant that depends on nothing in the file.
    run = reference(case.data, optimized="SUM" in case.kinds)
    for seed in range(3):
        arrays = case.arrays(seed)
        feeds = {info.name: array for info, array in zip(network.inputs, arrays, strict=True)}
        for got, want in zip(run_model(network, feeds), run(*arrays), strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            if got.dtype.kind == "f":
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-6)
            else:
                assert np.abs(got.astype(np.int64) - want.astype(np.int64)).max() <= case.tolerance


def test_every_translation_has_a_case() -> None:
    assert set(TRANSLATIONS) - {kind for case in CASES for kind in case.kinds} == WITHOUT_CASE
