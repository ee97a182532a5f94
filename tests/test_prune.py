"""Pruning from a file to a file: goals, recovery, what the report says, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.compiled_cost import CompiledCost, CostTable
from edgecompile.core.target import find_target
from edgecompile.errors import InputError, MissingToolError, UnsupportedError, UsageError
from edgecompile.passes.quantize.observe import Executor
from edgecompile.prune import PruneResult, draw, measure_sensitivity, prune_source, write_result
from edgecompile.prune_options import PruneOptions
from tests.support.graphs import model as parsed
from tests.support.networks import save, small_cnn

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network and 24 samples for it."""
    path = tmp_path_factory.mktemp("prune")
    save(small_cnn(), path / "cnn.onnx")
    data = np.random.default_rng(0).standard_normal((24, 3, 12, 12)).astype(np.float32)
    np.savez(path / "data.npz", x=data)
    return path


def prune(folder: Path, calibrated: bool = False, **options: Any) -> PruneResult:
    calibrate = str(folder / "data.npz") if calibrated else None
    return prune_source(str(folder / "cnn.onnx"), PruneOptions(calibrate=calibrate, **options))


def test_half_of_the_work_without_samples(folder: Path) -> None:
    result = prune(folder, keep={"macs": 0.5})
    report = result.report
    assert report["reached"]
    assert report["costs"]["macs"]["left"] <= 0.5
    assert (report["method"], report["allocation"], report["recovery"]) == ("l1", "uniform", {"how": "none"})
    assert report["proof"]["holds"]
    cut = [row for row in report["groups"] if row["kept"] < row["size"]]
    assert cut
    assert not any(row["frozen"] for row in cut)
    assert any("Softmax" in row["frozen"] for row in report["groups"])
    assert result.model.inputs == prune(folder, keep={"macs": 1.0}).model.inputs
    json.dumps(report)


def test_indices_say_which_filters_are_left(folder: Path) -> None:
    whole, part = prune(folder, keep={"macs": 1.0}).model, prune(folder, keep={"macs": 0.5})
    moved = [entry for entry in part.report["indices"] if entry["axis"] == 0]
    assert moved
    before, after = whole.graph.graph.initializers, part.model.graph.graph.initializers
    for entry in moved:
        old, new = (some[entry["initializer"]].const_value for some in (before, after))
        assert old is not None
        assert new is not None
        if old.numpy().ndim == 4 and old.numpy().shape[1] == new.numpy().shape[1]:
            assert np.array_equal(old.numpy()[entry["old_indices"]], new.numpy())


def test_samples_make_up_for_the_cut(folder: Path) -> None:
    errors = []
    reference = Executor(prune(folder, keep={"macs": 1.0}).model)
    for recovery in ("none", "least-squares", "distill"):
        result = prune(folder, True, keep={"macs": 0.6}, recovery=recovery)
        assert result.report["recovery"]["how"] == recovery
        execute = Executor(result.model)
        samples = [{"x": one[None]} for one in np.load(folder / "data.npz")["x"]]
        errors.append(sum(float(((execute(s)["prob"] - reference(s)["prob"]) ** 2).sum()) for s in samples))
    assert errors[1] < errors[0]
    assert errors[2] < 1.05 * errors[1]


@pytest.mark.parametrize("allocation", ["uniform", "global", "sensitivity"])
def test_allocations_reach_the_goal(folder: Path, allocation: Any) -> None:
    result = prune(folder, True, keep={"params": 0.6}, allocation=allocation, method="wanda", recovery="none")
    assert result.report["costs"]["params"]["left"] <= 0.6


@pytest.mark.parametrize("allocation", ["uniform", "global", "sensitivity"])
def test_of_a_network_that_cannot_be_cut_nothing_is_cut(tmp_path: Path, allocation: Any) -> None:
    network = parsed("g (float[1, 4] x, float[1, 4] y) => (float[1, 4] z) { z = Add(x, y) }", typed=True)
    (tmp_path / "add.onnx").write_bytes(network.to_bytes())
    np.savez(tmp_path / "data.npz", x=np.ones((8, 4), np.float32), y=np.ones((8, 4), np.float32))
    options = PruneOptions({"params": 0.5}, calibrate=str(tmp_path / "data.npz"), allocation=allocation)
    report = prune_source(str(tmp_path / "add.onnx"), options).report
    assert (report["groups"], report["recovery"]["how"]) == ([], "none")


def test_rounds_compose_what_they_keep(folder: Path) -> None:
    result = prune(folder, True, keep={"macs": 0.4}, rounds=3)
    assert result.report["reached"]
    assert result.report["proof"]["holds"]


def test_counts_are_multiples_of_what_vectors_hold(folder: Path) -> None:
    result = prune(folder, keep={"macs": 0.6}, target=find_target("cortex-a72"))
    assert result.report["multiple"] == 4
    assert [row["kept"] for row in result.report["groups"] if row["kept"] < row["size"]] == [4]
    assert prune(folder, keep={"macs": 0.9}, target=find_target("cortex-m4")).report["multiple"] == 1


def test_layers_that_are_to_stay_whole_do(folder: Path) -> None:
    result = prune(folder, keep={"macs": 0.3}, keep_whole=["stem"])
    assert not result.report["reached"]
    assert result.report["costs"]["macs"]["left"] == 1.0
    assert "'stem' is to be kept whole" in [row["frozen"] for row in result.report["groups"]]
    with pytest.raises(
        UnsupportedError, match=r"EC4539.*0\.3 of its macs.*reaches 1\.00.*these cannot be cut"
    ):
        prune(folder, keep={"macs": 0.3}, keep_whole=["stem"], hard=True)
    with pytest.raises(UsageError, match=r"EC2529.*no layer 'stern'"):
        prune(folder, keep={"macs": 0.3}, keep_whole=["stern"])
    with pytest.raises(UsageError, match=r"EC2529.*no layer 'stern' at '--remove-layer'"):
        prune(folder, remove_layers=["stern"])


def test_a_score_limits_the_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The score is how much is left of the weights, so it falls as the network shrinks."""
    sizes: list[float] = []

    def score(source: str, model: Any) -> float:
        sizes.append(100.0 * sum(v.const_value.numpy().size for v in model.graph.graph.initializers.values()))
        return sizes[-1] / sizes[0]

    monkeypatch.setattr("edgecompile.pruner.score_of", score)
    result = prune(folder, evaluate="scores:size", max_accuracy_drop=0.4)
    assert -0.4 <= result.report["evaluation"]["difference"] < 0
    assert result.report["reached"]


def test_sensitivity_rises_as_units_go(folder: Path) -> None:
    curves = measure_sensitivity(str(folder / "cnn.onnx"), PruneOptions(calibrate=str(folder / "data.npz")))
    assert curves
    for curve in curves:
        units, errors = curve["units"], curve["errors"]
        assert isinstance(units, list)
        assert isinstance(errors, list)
        assert (units[0], errors[0]) == (curve["size"], 0.0)
        assert errors == sorted(errors)
        assert errors[-1] > 0
    assert draw(curves, "cnn").count("<polyline") == sum(curve["kind"] != "block" for curve in curves)


def test_of_blocks_the_absence_is_measured(folder: Path) -> None:
    options = PruneOptions(calibrate=str(folder / "data.npz"), remove_layers=["depthwise"])
    row = measure_sensitivity(str(folder / "cnn.onnx"), options)[-1]
    assert (row["name"], row["kind"], row["units"]) == ("residual", "block", [1, 0])
    assert row["errors"][1] > 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"EC2521.*sensitivity is measured on samples"),
        ({"keep": {"macs": 0.5}}, r"EC2053.*nothing is cut.*how far to cut was said too"),
        ({"multiple": 0}, r"EC2528.*nothing to count"),
    ],
)
def test_sensitivity_that_cannot_be_measured(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure_sensitivity(str(folder / "cnn.onnx"), PruneOptions(**options))


def test_a_layer_goes_and_zeros_come(folder: Path) -> None:
    result = prune(folder, remove_layers=["residual"], sparse="2:4")
    report = result.report
    assert report["removed_layers"] == ["residual"]
    assert report["costs"]["macs"]["left"] < 0.9
    assert not {"depthwise", "pointwise"} & {node.name for node in result.model.graph.graph}
    assert [layer["zeros"] for layer in report["sparsity"]["layers"]] == [0.5]
    assert "neither smaller nor faster" in report["sparsity"]["note"]
    with pytest.raises(UnsupportedError, match=r"EC4532.*'stem'.*blocks that can go: residual"):
        prune(folder, remove_layers=["stem"])


def test_that_training_is_impossible_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    network = parsed("g (float[1, 4] x) => (float[1, 4] y) { y = Hardmax(x) }", typed=True)
    (tmp_path / "net.onnx").write_bytes(network.to_bytes())
    np.savez(tmp_path / "data.npz", x=np.ones((4, 4), np.float32))
    options = PruneOptions({"macs": 0.5}, calibrate=str(tmp_path / "data.npz"), recovery="distill")
    tasks: list[str] = []
    with pytest.raises(UnsupportedError, match=r"EC4391.*Hardmax"):
        prune_source(str(tmp_path / "net.onnx"), options, lambda task, done, total: tasks.append(task))
    assert tasks == ["importing"]


def test_gradients_need_pytorch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("edgecompile.torch")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingToolError, match=r"EC5391.*'taylor' needs PyTorch.*edgecompile\[torch\]"):
        prune(folder, True, keep={"macs": 0.5}, method="taylor")


def test_compiled_costs_are_measured_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = CostTable(tmp_path / "costs.json")
    whole = prune(folder, keep={"macs": 1.0}).model
    half = prune(folder, keep={"macs": 0.5}).model
    flash = CompiledCost("flash", find_target("host"), table)
    assert 0 < flash(half) < flash(whole)
    monkeypatch.setattr("edgecompile.compiled_cost.compile_model", None)
    again = CompiledCost("arena", find_target("host"), CostTable(tmp_path / "costs.json"))
    assert 0 < again(half) < again(whole)


def test_a_damaged_table_of_costs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text("[1, 2]")
    with pytest.raises(InputError, match=r"EC3523.*cannot read the table of costs"):
        CostTable(tmp_path / "costs.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"EC2524.*nothing says how far to cut"),
        ({"keep": {"macs": 0.5}, "max_accuracy_drop": 1.0, "evaluate": "a:b"}, "EC2524.*two goals"),
        ({"keep": {"mac": 0.5}}, r"EC2525.*no resource 'mac'"),
        ({"keep": {"macs": 0.0}}, r"EC2525.*a share of 0 cannot"),
        ({"keep": {"macs": 50.0}}, r"EC2525.*a share of 50 cannot"),
        ({"keep": {"flash": 0.5}}, r"EC2526.*--target is missing"),
        ({"max_accuracy_drop": 1.0}, r"EC2527.*--evaluate is missing"),
        ({"max_accuracy_drop": -1.0, "evaluate": "a:b"}, r"EC2527.*-1 cannot be reached"),
        ({"max_accuracy_drop": 1.0, "evaluate": "a:b", "rounds": 2}, r"EC2052.*--rounds and --hard"),
        ({"sparse": "4:2"}, r"EC2050.*no pattern of zeros '4:2'.*give N:M"),
        ({"keep": {"macs": 0.5}, "rounds": 0}, r"EC2528.*nothing to count"),
        ({"keep": {"macs": 0.5}, "method": "wanda"}, r"EC2521.*'wanda' needs samples"),
        ({"keep": {"macs": 0.5}, "allocation": "sensitivity"}, r"EC2521.*needs samples"),
        ({"keep": {"macs": 0.5}, "recovery": "least-squares"}, r"EC2521.*needs samples"),
    ],
)
def test_what_cannot_be_done_is_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prune(folder, **options)


def test_the_result_must_be_writable(folder: Path) -> None:
    result = prune(folder, keep={"macs": 0.5})
    write_result(result, folder / "out.onnx", folder / "out.json")
    assert json.loads((folder / "out.json").read_text())["reached"]
    with pytest.raises(InputError, match=r"EC3032.*cannot write"):
        write_result(result, folder / "missing" / "out.onnx")
