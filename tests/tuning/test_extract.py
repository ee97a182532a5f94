"""The tasks of a network: which kernels have a choice, and that every choice can be built and is right."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.target import find_target
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.record import Trial
from edgecompile.tuning.tune import TuneOptions, list_tasks
from edgecompile.verify import verify_artifact
from tests.fakes.build import emulator_or_skip
from tests.support.networks import save, small_cnn
from tests.support.quantized import quantize
from tests.tuning.networks import all_spaces


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is hostile: the compilers are loaded once for all tests."""
    for module in ("compiler", "verify", "frontend.load"):
        monkeypatch.setattr(f"edgecompile.{module}.run_isolated", _call)


def _call(function: Callable[..., Any], *arguments: Any, **limits: Any) -> Any:
    return function(*arguments)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(all_spaces(), tmp_path_factory.mktemp("tuning") / "net.onnx"))


def test_all_kinds_of_kernels_have_a_choice(network: str) -> None:
    tasks = list_tasks(network, TuneOptions(find_target("host"), Path()))
    knobs = {name for task in tasks for candidate in task.task.candidates for name in candidate}
    assert knobs >= {"kernel", "pixels", "rows", "order", "unroll", "lanes", "form", "row_lanes", "loops"}
    for task in tasks:
        own = task.task
        assert len(own.candidates) == len(task.plans) == len(own.features) > 1
        assert len({str(candidate) for candidate in own.candidates}) == len(own.candidates)
        assert np.isfinite(own.features).all()
    assert len({task.task.features.shape[1] for task in tasks}) == 1


@pytest.mark.parametrize("target", ["host", "cortex-a72", "cortex-m4", "rtx-a2000"])
def test_a_network_of_any_candidates_is_verified(network: str, target: str, tmp_path: Path) -> None:
    """Every kernel is built by a record, of a candidate chosen by chance."""
    tasks = list_tasks(network, TuneOptions(find_target(target), Path()))
    report = _verify_any(network, tasks, target, 0, tmp_path)
    assert len(report["by_record"]) == len(tasks)
    assert report["built_in"] == report["stale"] == []


def test_layers_that_need_not_be_calls(tmp_path: Path) -> None:
    """On Cortex-M the loops of the general definition are a choice, and right."""
    source = str(save(quantize(small_cnn()), tmp_path / "int8.onnx"))
    tasks = list_tasks(source, TuneOptions(find_target("cortex-m4"), Path()))
    called = [task for task in tasks if list(task.task.candidates) == [{"called": 1}, {"called": 0}]]
    assert called
    report = _verify_any(source, tasks, "cortex-m4", None, tmp_path)
    assert len(report["by_record"]) == len(tasks)


def _verify_any(
    source: str, found: Sequence[KernelTask], name: str, seed: int | None, folder: Path
) -> dict[str, list[object]]:
    """Compile with a record for each kernel, of its last candidate or of any, and execute; the report."""
    target = find_target(name)
    if target.emulator is not None:
        emulator_or_skip(target)
    tasks = [one.task for one in found]
    chance = random.Random(seed)
    with Journal(folder / "records" / "some.jsonl") as journal:
        for task in tasks:
            candidate = task.candidates[-1] if seed is None else chance.choice(task.candidates)
            journal.append([Trial(task.workload.key, name, "instructions", candidate, 1.0, "me", {})])
    options = CompileOptions(target, records=folder / "records")
    result = compile_model(source, options, folder / "net.edge")
    verify_artifact(result.artifact)
    report: dict[str, list[object]] = result.report["tuning"]
    return report
