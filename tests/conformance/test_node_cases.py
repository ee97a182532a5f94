"""Every node test of the onnx package is right or refused; which are refused is written down.

`expected_refusals.txt` holds the names of cases that must end in a refusal (exit 4). A case that passes
although it is listed there fails this test, as does one that is refused and not listed. Rewrite the list with

    python -m tests.conformance.survey --write
"""

from __future__ import annotations

import pytest

from tests.conformance.cases import all_cases
from tests.conformance.run import run_case
from tests.conformance.survey import expected_refusals

# The promise of the product; more may pass.
_MINIMUM_PASSED = 900


@pytest.mark.conformance
@pytest.mark.parametrize("name", list(all_cases()))
def test_node_case(name: str) -> None:
    outcome = run_case(all_cases()[name])
    expected = "refused" if name in expected_refusals() else "passed"
    assert outcome.kind == expected, outcome.detail or "it passes: remove it from expected_refusals.txt"
    if outcome.kind == "refused":
        assert outcome.detail.startswith("error[EC4"), outcome.detail


def test_the_list_leaves_what_is_promised() -> None:
    cases, refusals = set(all_cases()), expected_refusals()
    assert refusals <= cases, f"unknown cases in the list: {sorted(refusals - cases)}"
    assert len(cases - refusals) >= _MINIMUM_PASSED
