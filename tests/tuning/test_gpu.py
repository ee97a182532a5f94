"""Tuning for a GPU, on the simulated one: every step is taken; what its figures are means nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.device import Metric
from edgecompile.core.target import find_target
from edgecompile.devices.gpu import CudaDevice, SimulatedGpu
from edgecompile.devices.local import LocalDevice
from edgecompile.errors import DeviceError, EdgeCompileError, UnsupportedError
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.plan import GpuPlan
from edgecompile.lower.cuda import CudaSource
from edgecompile.lower.grids import GpuKernel, Launch
from edgecompile.lower.kernel import Kernel
from edgecompile.tuning import gpu_program, measure
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.database import Database
from edgecompile.tuning.gpu_program import link_gpu_trials
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.measure import Bench, Meter
from edgecompile.tuning.network import NetworkBench
from edgecompile.tuning.pool import Pool
from edgecompile.tuning.program import Candidate
from edgecompile.tuning.record import Trial
from edgecompile.tuning.selection import select
from edgecompile.tuning.session import Budget
from edgecompile.tuning.tune import JOURNAL, TuneOptions, list_tasks, optimized_network, tune
from tests.support.graphs import model
from tests.support.networks import save, small_cnn
from tests.support.scripted import INFO
from tests.tuning.networks import all_spaces

TARGET = find_target("rtx-4090")
SIMULATOR = ("cuda-simulator",)

# A candidate copies 16 numbers; most do something else as well.
_KERNELS = """
extern "C" __global__ void __launch_bounds__(32) {name}(float* __restrict__ p0, float* __restrict__ p1) {{
  const int i = threadIdx.x;
  if (i < 16) {{
    {copy}
  }}
  {more}
}}
"""
_MORE = {
    "nothing": "",
    "crash": "if (threadIdx.x < 7) __syncthreads();",
    "hang": "for (volatile int i = 1; i;) {}",
    "overrun": "p1[20] = 1.0f;",
    "wrong": "",
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(small_cnn(), tmp_path_factory.mktemp("gpu") / "cnn.onnx"))


def options(records: Path, trials: int, devices: tuple[str, ...] = SIMULATOR) -> TuneOptions:
    return TuneOptions(TARGET, records, devices, Budget(trials))


def _has_gpu() -> bool:
    try:
        with CudaDevice(TARGET):
            return True
    except EdgeCompileError:
        return False


# Asked before any test: the simulated driver, once loaded, answers to the name of the real one.
HAS_GPU = _has_gpu()


@pytest.fixture(scope="module")
def records(network: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    tune(network, options(folder, 16))
    return folder


def test_candidates_are_measured_and_recorded_the_same_way_each_time(
    network: str, records: Path, tmp_path: Path
) -> None:
    result = tune(network, options(tmp_path, 16))
    assert result.metric == "cycles"
    assert not result.progress.failures
    assert (tmp_path / JOURNAL).read_bytes() == (records / JOURNAL).read_bytes()
    trials = Database.open(tmp_path).trials
    assert len(trials) == 16
    assert {trial.target for trial in trials} == {"rtx-4090"}
    assert all(trial.device.startswith("cuda-simulator: a GPU simulated on") for trial in trials)
    assert all(trial.value and trial.baseline and trial.spread == 0.0 for trial in trials)


def test_compile_uses_what_was_measured_and_says_so(network: str, records: Path, tmp_path: Path) -> None:
    chosen = CompileOptions(TARGET, records=records)
    report = compile_model(network, chosen, tmp_path / "net.edge").report["tuning"]
    assert {entry["device"].partition(":")[0] for entry in report["by_record"]} == {"cuda-simulator"}
    assert len(report["by_record"]) == 2
    assert report["expected_gain"] is None
    assert all(entry["speed_up"] is None for entry in report["by_record"])
    assert len(report["built_in"]) == len(list_tasks(network, options(tmp_path, 1))) - 2
    assert report["stale"] == []


def test_kernels_with_a_choice(tmp_path: Path) -> None:
    values = ", ".join(f"float[1, 2, 9, 8] {name}" for name in "qkv")
    attention = model(f"agraph ({values}) => (float[1, 2, 9, 8] y) {{ y = Attention(q, k, v) }}", opset=23)
    (tmp_path / "attention.onnx").write_bytes(attention.to_bytes())
    sources = [save(all_spaces(), tmp_path / "net.onnx"), tmp_path / "attention.onnx"]
    tasks = [task for source in sources for task in list_tasks(str(source), options(tmp_path, 1))]
    knobs = {name for task in tasks for candidate in task.task.candidates for name in candidate}
    assert knobs >= {"slices", "thread_columns", "step", "pixels", "lanes", "row_threads", "queries"}
    assert len({task.task.features.shape[1] for task in tasks}) == 1


def test_no_candidate_breaks_a_limit_of_the_machine(network: str, tmp_path: Path) -> None:
    gpu = Gpu(128)
    plans = [answers[-1] for task in list_tasks(network, options(tmp_path, 1)) for answers in task.plans]
    products = [plan for plan in plans if isinstance(plan, GpuPlan)]
    assert len(products) > 100
    for plan in products:
        assert plan.threads % gpu.warp == 0
        assert gpu.warp <= plan.threads <= 1024
        assert plan.arithmetic.nbytes * (plan.shared_words + plan.shared_sums) <= gpu.shared_bytes
        assert plan.registers <= gpu.registers


def test_without_a_gpu_tuning_says_what_is_missing(network: str, tmp_path: Path) -> None:
    """In a process of its own: where the simulated driver is loaded already, it would be found."""
    if HAS_GPU:
        pytest.skip("this machine has an NVIDIA GPU")
    command = [sys.executable, "-m", "edgecompile", "tune", network, "-t", "rtx-4090"]
    command += ["--records", str(tmp_path), "--trials", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "error[EC5592] no NVIDIA" in done.stderr


def test_threads_are_refused(network: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"EC4640.*do not use threads.*leave --threads out"):
        list_tasks(network, replace(options(tmp_path, 1), threads=2))


def test_a_simulated_gpu_cannot_help_a_real_one() -> None:
    with pytest.raises(DeviceError, match=r"EC7013.*cuda-simulator counts cycles"):
        Pool([], TARGET, [CudaDevice(TARGET), SimulatedGpu(TARGET)])


def test_time_on_a_gpu_counts_more_than_what_the_simulator_counted(tmp_path: Path) -> None:
    def trial(metric: Metric, rows: int, baseline: float) -> Trial:
        return Trial("w", "rtx-4090", metric, {"rows": rows}, 1.0, "a device", {}, baseline=baseline)

    with Journal(tmp_path / JOURNAL) as journal:
        journal.append([trial("seconds", 1, 1.1), trial("cycles", 2, 9.0)])
    assert select(find_target("rtx-4090"), tmp_path).trials["w"].candidate == {"rows": 1}


def test_every_candidate_answers_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_START_S", 3.0)
    names = ["nothing", "crash", "hang", "overrun", "wrong", "nothing"]
    copies = {"wrong": "p1[i] = 2.0f * p0[i];"}
    text = "".join(
        _KERNELS.format(name=f"candidate_{index}", copy=copies.get(name, "p1[i] = p0[i];"), more=_MORE[name])
        for index, name in enumerate(names)
    )
    kernels = {
        f"candidate_{index}": GpuKernel((Launch(f"candidate_{index}", (1, 1, 1), 32, (0, 1)),), 0)
        for index in range(len(names))
    }
    monkeypatch.setattr(gpu_program, "generate_cuda", lambda functions, arch: CudaSource(text, kernels))
    result = replace(INFO, name="y")
    kernel = Kernel(None, ("x",), ("y",), {}, ())
    candidates = [Candidate({}, None, kernel, {"x": INFO, "y": result})] * len(names)
    with SimulatedGpu(TARGET) as device:
        program = link_gpu_trials(candidates, TARGET, device, tmp_path)
        meter = Meter(Bench(TARGET, device, "cycles"), (INFO,), (result,))
        outcomes = meter.measure(Trials(program, tuple(range(len(names))), (INFO,), (result,)))
    failures = [outcomes[index].failure for index in range(len(names))]
    assert failures == [None, "crash", "timeout", "crash", "wrong", None]


def test_a_gpu_that_fails_is_no_candidates_fault(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = list_tasks(network, options(tmp_path, 1))[-1]
    candidates = [task.build(0), task.build(1)]
    infos = candidates[0].inputs, candidates[0].outputs
    with SimulatedGpu(TARGET) as device:
        program = link_gpu_trials(candidates, TARGET, device, tmp_path)
        for function in ("cuInit", "cuModuleLoadData", "cuMemAlloc_v2", "cuEventCreate"):
            monkeypatch.setenv("EDGECOMPILE_SIMULATED_FAULT", f"{function}:1:2")
            said = r"EC7004.*status 74.*the GPU cannot be used: CUDA_ERROR_OUT_OF_MEMORY"
            with pytest.raises(DeviceError, match=said):
                Meter(Bench(TARGET, device, "cycles"), *infos).measure(Trials(program, (0, 1), *infos))


def test_a_board_without_a_driver_is_no_candidates_fault(network: str, tmp_path: Path) -> None:
    if HAS_GPU:
        pytest.skip("this machine has an NVIDIA GPU")
    candidates = [list_tasks(network, options(tmp_path, 1))[-1].build(0)] * 2
    infos, device = (candidates[0].inputs, candidates[0].outputs), LocalDevice(TARGET)
    program = link_gpu_trials(candidates, TARGET, device, tmp_path)
    with pytest.raises(DeviceError, match=r"EC7004.*the GPU cannot be used: ERROR_NO_DRIVER"):
        Meter(Bench(TARGET, device, "seconds"), *infos).measure(Trials(program, (0, 1), *infos))


def test_variants_of_a_network_take_turns(network: str, tmp_path: Path) -> None:
    """As at the end of a session on a GPU; the simulator's clock is this machine's here."""
    tasks = [task.task for task in list_tasks(network, options(tmp_path, 1))]
    model = optimized_network(network, options(tmp_path, 1))
    variants = [{}, {tasks[0].workload.key: tasks[0].candidates[7]}]
    simulator, processor = SimulatedGpu(TARGET), LocalDevice(TARGET)
    with NetworkBench(model, TARGET, simulator) as bench:
        figures, _ = bench.compare(variants, lambda work: (work(processor), "simulator"))
    assert len(figures) == 2
    assert all(isinstance(figure, float) or figure == "noisy" for figure in figures)
