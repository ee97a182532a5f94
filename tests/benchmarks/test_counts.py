"""Instruction counts next to those of other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.counts import PeerCount, compare, count_on, find_figures, load_figures
from benchmarks.networks import CORE, DType, Network
from benchmarks.run import TARGETS
from edgecompile.core.target import find_target
from edgecompile.errors import BudgetError, Problem


def network(name: str, dtype: DType) -> Network:
    return Network(Path(f"{name}.onnx"), dtype, macs=1000, weight_bytes=0)


def test_counts_are_compared_with_the_first_peer() -> None:
    row = compare(3000, 1000, [PeerCount("one", 6000), PeerCount("two", 1500)])
    assert row == {
        "instructions": 3000,
        "per_mac": 3.0,
        "peer": "one",
        "peer_instructions": 6000,
        "ratio": 0.5,
        "other_peers": {"two": 1500},
    }


def test_nothing_is_compared_where_nobody_else_was_counted() -> None:
    row = compare(3000, 0, [])
    assert (row["instructions"], row["per_mac"], row["peer"], row["ratio"]) == (3000, None, None, None)


def test_figures_are_found_by_network_type_and_target() -> None:
    figures = load_figures()
    found = find_figures(network("ic_resnet8", "float32"), "cortex-a76", figures)
    assert [(peer.peer, peer.instructions) for peer in found] == [
        ("onnxruntime 1.32", 6_530_000),
        ("LiteRT 2.3", 4_710_000),
        ("ncnn", 3_150_000),
    ]
    on_m4 = find_figures(network("kws_ref_int8", "int8"), "cortex-m4", figures)
    assert on_m4 == [PeerCount("CMSIS-NN", 7_843_537)]
    assert find_figures(network("kws_dscnn", "float32"), "cortex-m4", figures) == []
    assert find_figures(network("unknown", "float32"), "cortex-a72", figures) == []


def test_the_data_file_names_known_things() -> None:
    figures = load_figures()
    kinds = set(figures["networks"].values())
    for entry in figures["counts"]:
        assert set(entry["instructions"]) <= kinds
        assert all(find_target(target).name == target for target in entry["targets"])
        assert entry["dtype"] in ("float32", "int8")
    assert {"kws_dscnn", "mobilenetv2_imagenet"} <= set(figures["networks"]) & set(CORE)
    assert {"cortex-a72", "cortex-m4"} <= set(TARGETS)


def test_a_network_that_does_not_fit_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise BudgetError(Problem("EC6001", "the network does not fit the flash of cortex-m4"))

    monkeypatch.setattr("benchmarks.counts.compile_model", refuse)
    row = count_on(network("kws_dscnn", "float32"), "cortex-m4")
    assert row["skipped"] == "the network does not fit the flash of cortex-m4"
    assert "instructions" not in row
