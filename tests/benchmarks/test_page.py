"""What becomes of results on docs/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page
from benchmarks.markdown import MARK
from benchmarks.page import PAGE, render

Row = dict[str, Any]


def timed(model: str, ratio: float, **changes: Any) -> Row:
    row: Row = {"model": model, "dtype": "float32", "threads": 1, "target": "host", "tuned": False}
    row |= {"macs": 1000, "max_error": 1.5e-7, "arena_bytes": 65280, "flash_bytes": 99249, "compile_s": 4.06}
    row |= {"bound_us": 2.0, "ours_us": 12.34, "peer": "onnxruntime", "peer_us": 1234.5, "other_peers": {}}
    return row | {"ratio_to_onnxruntime": ratio, "ratio_iqr": [ratio - 0.1, ratio + 0.1]} | changes


def counted(model: str, ratio: float | None, **changes: Any) -> Row:
    row: Row = {"model": model, "target": "cortex-a72", "dtype": "float32", "macs": 1000, "max_error": 0.0}
    row |= {"instructions": 1178663, "per_mac": 0.44, "arena_bytes": 65280, "flash_bytes": 99249}
    row |= {"peer": "onnxruntime 1.32", "peer_instructions": 3020000, "ratio": ratio, "other_peers": {}}
    return row | changes


def result(rows: list[Row], instructions: list[Row] | None = None) -> Row:
    return {
        "tuned": False,
        "rounds": 25,
        "machine": {"cpu": "Some CPU", "cores": 2, "macs_per_s": {"float32": 132.2e9, "int8": 0.0}},
        "versions": {"edgecompile": "0.1.0", "onnxruntime": "1.32.0"},
        "onnxruntime_overhead_us": 1.73,
        "rows": rows,
        "instructions": instructions or [],
    }


def lines(*results: Row) -> list[str]:
    return render(results).splitlines()


def test_a_row_shows_its_figures() -> None:
    expected = (
        "| kws_dscnn | 1 | 12.3 | 1,234 | 0.50 | 0.40 to 0.60 | 2 | - | 1.5e-07 | 65,280 | 99,249 | 4.1 |"
    )
    assert expected in lines(result([timed("kws_dscnn", 0.5)]))


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    rows = [timed("kws_dscnn", 0.5, bound_us=None), timed("kws_ref_int8", 0.5, dtype="int8")]
    counts = [counted("kws_dscnn", 0.39), counted("x", None, peer=None, peer_instructions=None, per_mac=None)]
    tables = [line for line in lines(result(rows, counts)) if line.startswith("|")]
    assert {line.count("|") for line in tables} == {13, 12}
    assert len(tables) == 3 * 2 + len(rows) + len(counts)


def test_other_runtimes_share_a_cell() -> None:
    peers = {"litert": {"us": 20.0, "ratio": 0.617}, "openvino": {"error": "no | here"}}
    text = render([result([timed("kws_dscnn", 0.5, other_peers=peers)])])
    assert "| litert 20 µs, ratio 0.62; openvino failed |" in text


def test_conditions_are_stated() -> None:
    text = " ".join(lines(result([timed("kws_dscnn", 0.5)])))
    assert "Untuned, measured on Some CPU with 2 cores, batch 1, 25 rounds" in text
    # A ceiling that could not be measured is not called 0.
    assert "One core's ceiling is 132 G float32 multiply-accumulates a second." in text
    assert "takes 1.7 µs by itself" in text


def test_means_are_over_the_core_networks_by_threads() -> None:
    rows = [timed("kws_dscnn", 0.5), timed("ic_resnet8", 2.0), timed("somebody_elses", 100.0)]
    rows += [timed("kws_dscnn", 0.3, threads=2)]
    found = [line for line in lines(result(rows)) if line.startswith("Geometric mean")]
    assert found == [
        "Geometric mean of the ratio, 1 thread, 2 networks: **1.00**.",
        "Geometric mean of the ratio, 2 threads, 1 network: **0.30**.",
    ]


def test_counts_have_means_by_target_type_and_peer() -> None:
    counts = [counted("a", 0.5), counted("b", 2.0), counted("c", None), counted("d", 0.7, target="cortex-m4")]
    text = lines(result([], counts))
    assert "- cortex-a72, float32, to onnxruntime 1.32, 2 networks: **1.00**" in text
    assert "- cortex-m4, float32, to onnxruntime 1.32, 1 network: **0.70**" in text
    assert (
        "| a | float32 | cortex-a72 | 1,178,663 | 0.44 | onnxruntime 1.32 | 3,020,000 | 0.50 | - "
        "| 65,280 | 99,249 |"
    ) in text


def test_what_failed_and_what_does_not_fit_is_said() -> None:
    failed = {
        "model": "odd",
        "target": "host",
        "dtype": "float32",
        "threads": 1,
        "error": "error[EC4010]\nno",
    }
    large = {"model": "vww", "target": "cortex-m4", "dtype": "float32", "skipped": "too large"}
    text = lines(result([timed("kws_dscnn", 0.5), failed], [large, counted("a", 0.5)]))
    assert "- odd, host: error[EC4010] no" in text
    assert "Too large for the target: vww (cortex-m4)." in text
    assert sum("odd" in line for line in text) == 1


def test_results_follow_each_other() -> None:
    text = render([result([timed("kws_dscnn", 0.5)]), result([timed("ic_resnet8", 0.5)]) | {"tuned": True}])
    assert text.index("Untuned") < text.index("kws_dscnn") < text.index("Tuned,") < text.index("ic_resnet8")


def test_no_results_are_no_figures() -> None:
    assert render([]) == "Nothing has been measured yet.\n"


def test_what_is_written_by_hand_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"# By hand\n\n{MARK}\nold\n")
    (tmp_path / "untuned.json").write_text(json.dumps(result([timed("kws_dscnn", 0.5)])))
    monkeypatch.setattr(page, "PAGE", path)
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    page.main()
    first = path.read_text()
    assert first.startswith(f"# By hand\n\n{MARK}\n\nUntuned")
    assert "old" not in first
    page.main()
    assert path.read_text() == first


def test_the_page_shows_the_results_in_the_repository() -> None:
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2].lstrip("\n") == render(page.load_results())
