"""Measuring NPUs: what a stopped run keeps, what rows say, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import digits_transformer, npu, npu_coreml, npu_ethos_u, npu_htp, npu_page
from benchmarks.accuracy_tasks import Data
from benchmarks.markdown import MARK
from benchmarks.npu_work import Array, Arrays, OutOfTimeError, Row, Work
from edgecompile.errors import MissingToolError, Problem

SAMPLES = [(np.full((1, 2), float(index)),) for index in range(15)]


def test_what_was_executed_is_kept(tmp_path: Path) -> None:
    batches: list[int] = []

    def run(inputs: Sequence[Array]) -> list[Array]:
        batches.append(len(inputs[0]))
        return [inputs[0] + 1, inputs[0].sum(-1)]

    work = Work(tmp_path).below("part")
    found = work.outputs("net", SAMPLES, run)
    assert batches == [10, 5]
    assert [float(outputs[0][0, 1]) for outputs in found] == [index + 1.0 for index in range(15)]
    assert found[14][1].shape == (1,)
    # With the same folder, and no time.
    again = Work(tmp_path, end=0.0).below("part")
    np.testing.assert_equal(again.outputs("net", SAMPLES, run), found)
    assert len(batches) == 2
    with pytest.raises(OutOfTimeError):
        again.outputs("net", SAMPLES[3:], run)
    with pytest.raises(OutOfTimeError):
        again.outputs("other", SAMPLES, run)


def test_decisions_are_compared_with_both_networks() -> None:
    labels = [0, 1, 1, 0]
    data = Data(
        4,
        lambda unit: (),
        lambda unit, outputs: int(outputs[0].argmax()) == labels[unit],
        lambda outcomes: float(np.mean(outcomes)),
        lambda outputs: np.asarray(outputs[0].argmax()),
    )
    right, wrong = [2.0, 1.0], [1.0, 2.0]

    def outputs(*rows: list[float]) -> list[Arrays]:
        return [(np.array(row),) for row in rows]

    results = {
        "htp": outputs(right, right, wrong, right),
        "int8": outputs(right, wrong, wrong, [2.0, 1.5]),
        "float": outputs(right, wrong, right, right),
    }
    row = npu_htp.row(data, [0, 1, 2, 3], results)
    assert (row["n"], row["float"], row["int8"], row["htp"]) == (4, 0.75, 1.0, 0.75)
    assert (row["drop"], row["agreement"]) == (0.0, 75.0)
    assert row["agreement_with_float"] == {"htp": 50.0, "int8": 75.0}
    assert row["difference"] == 0.5
    low, high = row["interval"]
    assert low < 0 < high


@pytest.mark.parametrize(
    ("network", "agreement", "drop", "met"),
    [
        ("kws_dscnn", 98.0, 9.0, True),
        ("kws_dscnn", 97.9, 0.0, False),
        ("mobilenetv2_imagenet", 99.0, 1.6, False),
        ("mobilenetv2_imagenet", 99.0, -1.0, True),
    ],
)
def test_bars_of_the_htp(network: str, agreement: float, drop: float, met: bool) -> None:
    found = npu_htp.judged({"network": network, "agreement": agreement, "drop": drop})
    assert found["met"] is met
    assert ("largest_drop" in found["bar"]) == network.startswith("mobile")
    assert "met" not in npu_htp.judged({"network": "fastestdet_coco", "agreement": None, "drop": 9.0})


def test_every_integer_counts() -> None:
    one, other = (np.arange(4), np.zeros(2)), (np.array([0, 1, 2, 9]), np.zeros(2))
    assert npu_ethos_u.compared([one, one], [one, other]) == {"outputs": 12, "differing": 1, "met": False}
    assert npu_ethos_u.compared([one], [one])["met"] is True


def htp_row(version: str, **changes: Any) -> Row:
    row: Row = {"part": "htp", "network": "kws_dscnn", "variant": version, "n": 3, "agreement": 99.0}
    row |= {"htp": 0.9, "int8": 0.91, "float": 0.92, "drop": 2.0, "interval": [1.0, 3.0], "difference": 0.05}
    return row | {"bar": {"least_agreement": 98.0}, "met": True} | changes


def ethos_row(target: str, differing: int = 0) -> Row:
    row: Row = {"part": "ethos-u", "network": "kws_dscnn", "variant": target, "n": 100, "outputs": 1200}
    return row | {"differing": differing, "met": not differing, "cycles": 490_000, "cpu_operators": 0}


def test_tables() -> None:
    assert npu_htp.render([htp_row("v73")]).splitlines()[2] == (
        "| kws_dscnn | v73 | 3 | 99.0 % | 90.0 % | 91.0 % | 92.0 % | 5.0 % | 98 %: met |"
    )
    unmarked = npu_htp.render([htp_row("v73", agreement=None, bar={})]).splitlines()[2]
    assert "| 3 | - | 90.0 %" in unmarked
    assert unmarked.endswith("|  |")
    lines = npu_ethos_u.render([ethos_row("ethos-u55-128"), ethos_row("ethos-u65-256", 2)]).splitlines()
    assert lines[2:] == ["| kws_dscnn | 100 | 1200 | 0, 2 | 0.49 | - | 0.49 |"]
    refused: Row = {"network": "a", "variant": "float16", "refused": ["Hardmax cannot be computed"]}
    done: Row = {
        "network": "b",
        "variant": "int8",
        "error": 0.004,
        "bytes": 3_700_000,
        "bar": 0.05,
        "met": True,
    }
    assert npu_coreml.render([refused, done]).splitlines()[2:] == [
        "| a | float16 | refused |  | Hardmax cannot be computed |",
        "| b | int8 | 4.0e-03 | 3.5 MB | 0.05: met |",
    ]


def test_a_row_replaces_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.npu.metadata.version", lambda name: "1.2")
    record = npu.merged({}, htp_row("v73", agreement=90.0))
    record = npu.merged(record, ethos_row("ethos-u55-128"))
    record = npu.merged(record, htp_row("v75"))
    record = npu.merged(record, htp_row("v73"))
    assert [row["part"] for row in record["rows"]] == ["ethos-u", "htp", "htp"]
    assert {row["variant"]: row.get("agreement") for row in record["rows"][1:]} == {"v73": 99.0, "v75": 99.0}
    assert record["versions"] == {"ethos-u-vela": "1.2", "onnxruntime-qnn": "1.2"}


def test_missing_tools_and_missing_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(work: Work, network: str) -> Iterator[Row]:
        raise MissingToolError(
            Problem("EC5580", "Qualcomm's compiler is not installed", "", "", "pip install x")
        )

    def stops(work: Work, network: str) -> Iterator[Row]:
        yield ethos_row("ethos-u55-128", differing=1)
        raise OutOfTimeError

    def finishes(work: Work, network: str) -> Iterator[Row]:
        yield ethos_row("ethos-u55-128", differing=1)

    measures = {"htp": missing, "ethos-u": stops, "core-ml": finishes}
    monkeypatch.setattr("benchmarks.npu.metadata.version", lambda name: "1.2")
    monkeypatch.setattr(
        npu,
        "module_of",
        lambda part: SimpleNamespace(
            networks=lambda: ["kws_dscnn"], measure=measures[part], render=npu_ethos_u.render
        ),
    )
    file = tmp_path / "npu.json"
    assert npu.main(["--parts", "htp", "--json", str(file)]) == 0
    assert "htp is skipped: error[EC5580] Qualcomm's compiler is not installed" in capsys.readouterr().err
    assert npu.main(["--parts", "ethos-u", "--json", str(file), "--work", str(tmp_path)]) == npu.OUT_OF_TIME
    assert len(json.loads(file.read_text())["rows"]) == 1
    assert npu.main(["--parts", "core-ml"]) == 1
    assert "| kws_dscnn | 100 |" in capsys.readouterr().out
    assert npu.main(["--parts", "core-ml", "--networks", "others"]) == 0


def test_the_page_shows_the_results() -> None:
    record = json.loads(npu_page.RESULTS.read_text(encoding="utf-8"))
    shown = npu_page.PAGE.read_text(encoding="utf-8").partition(MARK)[2].lstrip("\n")
    assert shown == npu_page.render(record)
    assert {row["part"] for row in record["rows"]} == set(npu.PARTS)


def test_a_transformer_that_reads_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits_transformer, "_EPOCHS", 1)
    network, (example,) = digits_transformer.trained_network()
    data = digits_transformer.data()
    assert tuple(network(example).shape) == (1, 10)
    assert data.inputs(0)[0].shape == tuple(example.shape)
    assert data.units == 360
